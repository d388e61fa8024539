"""The stage of targeted lexical injection: translations of words are brought together in one layer, through LoRA.

Shape legend: P word pairs, B pairs of a batch, R texts of a pass, T tokens, H width of the states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.datasets.unchanged_files import unchanged_fingerprint
from hybridbatch.evaluation.token_store import tokenized_in_memory
from hybridbatch.foundation.errors import UserError, one_of
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.adapters import Lora
from hybridbatch.training.adapters import Adapters, query_and_value
from hybridbatch.training.arm import ArmContext, StageReport, StageWork
from hybridbatch.training.input_pipeline import tokens_of_pass
from hybridbatch.training.layers import layers_of
from hybridbatch.training.precision import computing
from hybridbatch.training.stage_loop import StageLoop, settings_of_stage
from hybridbatch.training.text_passes import text_passes
from hybridbatch.training.unlabelled_text import places_of_step
from hybridbatch.training.word_pairs import WordPair, languages_of, word_pairs

if TYPE_CHECKING:
    from hybridbatch.training.arms.lexical_injection import LexicalInjection

NAME = "lexical-injection"
_LONGEST = 32  # tokens of a word or phrase of the dictionary


class LexicalAlignment:
    """Trains LoRA on the attention up to a layer so that its states of translations agree (TLI, arXiv 2506.15415).

    Args:
        settings: What to do.
        context: The trial.
    """

    def __init__(self, settings: LexicalInjection, context: ArmContext) -> None:
        self._settings, self._context = settings, context
        self._training = settings_of_stage(
            context.experiment.training,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            warmup=settings.warmup,
            weight_decay=settings.weight_decay,
        )
        self._dictionary = context.workshop.location.resolve(settings.dictionary)
        self._languages = languages_of(self._dictionary, settings.languages)

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self._settings.steps

    def identity(self) -> Mapping[str, Any]:
        """Return which dictionary is used."""
        cache = self._context.workshop.location.cache
        return {"dictionary": unchanged_fingerprint(self._dictionary, cache), "languages": list(self._languages)}

    def run(self, encoder: nn.Module, work: StageWork) -> StageReport:
        """Train LoRA and add what it learnt to the weights of ``encoder``.

        Raises:
            UserError: If the encoder has no attention with projections of its own, or has no such layer, or the
                dictionary has too few words.
            TrialError: If the loss is not finite.
        """
        settings = self._settings
        seed = derive_seed(self._training.seed, NAME)
        train, held_out = words_of(settings, self._dictionary, self._languages, self._training.seed)
        body = cast(TextEncoder, encoder).body
        before = self._alignment(body, held_out)
        layer = settings.layer or best_layer(before)
        names = projections_up_to(body, layer)
        asked = {name: parameter.requires_grad for name, parameter in body.named_parameters()}
        torch.manual_seed(derive_seed(seed, "lora"))
        lora = Lora(rank=settings.rank, alpha=settings.alpha, dropout=settings.dropout, targets=tuple(names))
        adapters = Adapters(body, lora)
        body.train()

        def backward(step: int) -> Tensor:
            batch = [train[place] for place in places_of_step(step, settings.batch_size, len(train), seed).tolist()]
            english_BH, words_BH = self._states(body, batch, layer)
            loss = self._loss(english_BH, words_BH, [pair.english for pair in batch])
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()

        losses = StageLoop(NAME, adapters.weights, self._training, self._context.device, work).run(backward)
        adapters.merge()
        adapters.remove()
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(asked[name])
        after = self._alignment(body, held_out)
        more = {"layer": layer, "pairs": len(train), "held_out": len(held_out), "before": before, "after": after}
        return StageReport(losses, more)

    def _loss(self, english_BH: Tensor, words_BH: Tensor, keys: Sequence[str]) -> Tensor:
        """Return the loss, in which pairs with one English word are no negatives of each other."""
        scores_BB = functional.normalize(english_BH, dim=-1) @ functional.normalize(words_BH, dim=-1).T
        number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
        key_B = torch.tensor([number[key] for key in keys], device=scores_BB.device)
        own_BB = torch.eye(len(keys), dtype=torch.bool, device=scores_BB.device)
        excluded_BB = (key_B[:, None] == key_B[None, :]) & ~own_BB
        if self._settings.loss == "info-nce":
            scores_BB = (scores_BB / self._settings.temperature).masked_fill(excluded_BB, float("-inf"))
            target_B = torch.arange(len(keys), device=scores_BB.device)
            both = (functional.cross_entropy(one, target_B) for one in (scores_BB, scores_BB.T))
            return torch.stack(list(both)).mean()
        own_B = scores_BB.diagonal()
        negative_BB = ~excluded_BB & ~own_BB
        too_near = [
            functional.relu(self._settings.margin - one + scores_BB) for one in (own_B[:, None], own_B[None, :])
        ]
        return torch.stack([one[negative_BB].sum() for one in too_near]).mean() / max(1, int(negative_BB.sum()))

    def _states(self, body: Any, pairs: Sequence[WordPair], layer: int) -> tuple[Tensor, Tensor]:
        states_QH = self._all_states(body, pairs)[layer]
        return states_QH[: len(pairs)], states_QH[len(pairs) :]

    def _all_states(self, body: Any, pairs: Sequence[WordPair]) -> list[Tensor]:
        """Return the mean states of all layers, each [2P, H]: English words, then their translations."""
        texts = [*(pair.english for pair in pairs), *(pair.word for pair in pairs)]
        languages = [pair.languages[side] for side in (0, 1) for pair in pairs]
        store = tokenized_in_memory(texts, self._context.tokenizer, prefix="", longest=_LONGEST, languages=languages)
        parts: list[list[Tensor]] = []
        passes = [
            one.to(self._context.device)
            for one in text_passes(store, tokens_of_pass(self._context.device, packed=False), packed=False)
        ]
        for one in passes:
            with computing(self._training, self._context.device):
                found = body(input_ids=one.ids, attention_mask=one.mask_RT, output_hidden_states=True).hidden_states
            if one.mask_RT is None:
                raise TypeError("words come padded, with their mask")
            mask_RT1 = one.mask_RT[:, :, None].float()
            parts.append([(states_RTH.float() * mask_RT1).sum(dim=1) / mask_RT1.sum(dim=1) for states_RTH in found])
        places = torch.cat([one.rows_R for one in passes]).argsort()
        return [torch.cat(of_layer)[places] for of_layer in zip(*parts, strict=True)]

    @torch.no_grad()
    def _alignment(self, body: Any, pairs: Sequence[WordPair]) -> list[dict[str, float]]:
        """Return how well each layer aligns held-out translations; entry 0 is the embedding of tokens."""
        body.eval()
        return [_alignment_of(states[: len(pairs)], states[len(pairs) :]) for states in self._all_states(body, pairs)]


def _alignment_of(english_PH: Tensor, words_PH: Tensor) -> dict[str, float]:
    scores_PP = functional.normalize(english_PH, dim=-1) @ functional.normalize(words_PH, dim=-1).T
    pairs = len(scores_PP)
    own = float(scores_PP.diagonal().mean())
    others = float((scores_PP.sum() - scores_PP.diagonal().sum()) / max(1, pairs * (pairs - 1)))
    found = scores_PP.argmax(dim=0) == torch.arange(pairs, device=scores_PP.device)
    return {"cosine": own, "cosine_of_others": others, "found": float(found.float().mean())}


def words_of(
    settings: LexicalInjection, dictionary: Path, languages: Sequence[str], seed: int
) -> tuple[list[WordPair], list[WordPair]]:
    """Return the word pairs to train on and those that are held out in a trial with ``seed``.

    Raises:
        UserError: If there are too few.
    """
    train, held_out = word_pairs(
        dictionary, languages, most=settings.pairs, held_out=settings.held_out, seed=derive_seed(seed, NAME)
    )
    if settings.batch_size > len(train):
        raise UserError(
            "a batch is larger than the word pairs",
            file=dictionary,
            path="batch_size",
            seen=settings.batch_size,
            allowed=f"at most {len(train)}, the pairs in {one_of(languages)}",
        )
    return train, held_out


def best_layer(alignment: Sequence[Mapping[str, float]]) -> int:
    """Return the layer, from 1, in which translations are nearest to each other compared with other words.

    The paper takes the highest cosine. Where states share a direction every word has one near 1 (the paper's own is
    0.99998), so what other words have is taken off.
    """
    margins = [one["cosine"] - one["cosine_of_others"] for one in alignment]
    return max(range(1, len(margins)), key=lambda layer: margins[layer])


def projections_up_to(body: nn.Module, layer: int) -> list[str]:
    """Return the names of the projections of queries and values in the first ``layer`` layers.

    Raises:
        UserError: If there are no such projections, or fewer layers.
    """
    projections = query_and_value(body)
    if not projections:
        raise UserError(
            "the attention of this encoder has no projections of queries and values of their own",
            seen=type(body).__name__,
            allowed="an encoder such as that of xlm-r, mbert, labse, multilingual-e5, mbart or scratch",
            remedy="switch this arm off by leaving it out, or choose another backbone",
        )
    layers = layers_of(body)
    if layer > layers.count:
        raise UserError("the model has no such layer", path="layer", seen=layer, allowed=f"1 to {layers.count}")
    return [name for name in projections if 1 <= layers.depth(f"body.{name}.weight") <= layer]
