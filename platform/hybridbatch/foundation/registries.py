"""The registries of the platform: what an experiment file may name.

They live below the packages that fill them, so that the experiment file can be checked against the names without any
layer importing upwards.
"""

from __future__ import annotations

from typing import Any

from hybridbatch.foundation.registry import Registry

# A registered data set, backbone, sampler, pruner, perturbation, arm or source of hard negatives is a pydantic class:
# its fields are its settings in the experiment file or on the command line, its methods do the work.
DATASETS: Registry[type[Any]] = Registry("data set", "hybridbatch.datasets")
BACKBONES: Registry[type[Any]] = Registry("backbone", "hybridbatch.backbones")
SAMPLERS: Registry[type[Any]] = Registry("sampler", "hybridbatch.search.samplers")
PRUNERS: Registry[type[Any]] = Registry("pruner", "hybridbatch.search.pruners")
AUGMENTATIONS: Registry[type[Any]] = Registry("perturbation", "hybridbatch.augmentation")
ARMS: Registry[type[Any]] = Registry("arm", "hybridbatch.training.arms")
NEGATIVES: Registry[type[Any]] = Registry("source of hard negatives", "hybridbatch.training.negatives")

# A registered batch kind or metric has no settings of its own: the entry does the work.
BATCH_KINDS: Registry[Any] = Registry("batch kind", "hybridbatch.batching.kinds")
RANKING_METRICS: Registry[Any] = Registry("ranking metric", "hybridbatch.metrics.ranking")
CONTRAST_METRICS: Registry[Any] = Registry("contrast metric", "hybridbatch.metrics.contrast")
BIAS_METRICS: Registry[Any] = Registry("bias metric", "hybridbatch.metrics.bias")
FAIRNESS_METRICS: Registry[Any] = Registry("fairness metric", "hybridbatch.metrics.fairness")
