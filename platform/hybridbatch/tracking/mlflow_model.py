"""A sentence-transformers folder as an MLflow model, which ``mlflow.sentence_transformers.load_model`` loads.

MLflow's own ``save_model`` wants the model loaded by sentence-transformers. What it writes beside the model are a few
small files, written here, so that registering needs neither that package nor the memory.
"""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

import yaml

from hybridbatch.tracking.quiet import quiet_mlflow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FLAVOR = "sentence_transformers"
_DATA = "model.sentence_transformer"  # where this flavour looks for the model
_PACKAGES = ("mlflow", "sentence-transformers", "torch", "transformers")
_ENVIRONMENT = "python_env.yaml"


def write_mlflow_model(folder: Path, write: Callable[[Path], None], run_id: str, model_id: str) -> None:
    """Write an MLflow model with the flavours ``sentence_transformers`` and ``python_function``.

    Args:
        folder: Where to; it must not be there.
        write: Writes the sentence-transformers folder into an empty folder.
        run_id: The run that made the model.
        model_id: Its id in MLflow.
    """
    quiet_mlflow()
    from mlflow.models import Model

    (folder / _DATA).mkdir(parents=True)
    write(folder / _DATA)
    model = Model(run_id=run_id, model_id=model_id, model_uuid=model_id, signature=_signature())
    python = {"python_version": platform.python_version(), "env": {"virtualenv": _ENVIRONMENT}}
    model.add_flavor("python_function", loader_module=f"mlflow.{_FLAVOR}", data=_DATA, **python)
    model.add_flavor(_FLAVOR, sentence_transformers_version=_version("sentence-transformers"), code=None)
    model.save(str(folder / "MLmodel"))
    needed = [f"{name}=={version}" if (version := _version(name)) else name for name in _PACKAGES]
    (folder / "requirements.txt").write_text("\n".join(needed) + "\n", encoding="utf-8")
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / _ENVIRONMENT).write_text(yaml.safe_dump(environment), encoding="utf-8")


def _signature() -> object:
    """Return what ``mlflow.pyfunc`` takes: texts, and with ``prompt_name`` and ``task`` which side they are."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([ColSpec("string")]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, -1))]),
        params=ParamSchema([ParamSpec(name, "string", None) for name in ("prompt_name", "task")]),
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package).split("+")[0]  # without the build, which no index has: 2.13.0+cpu
    except metadata.PackageNotFoundError:
        return None
