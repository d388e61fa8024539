"""The stage of masked language modelling on unlabelled text.

Shape legend: R texts, T tokens of a pass, H width of the states, M masked places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from hybridbatch.backbones.encoders.text_encoder import TextEncoder, most_tokens
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.training.arm import ArmContext, StageReport, StageWork
from hybridbatch.training.arms.domain_adaptation import too_few_positions
from hybridbatch.training.input_pipeline import tokens_of_pass
from hybridbatch.training.mask_token import mask_id, opening_ids, special_ids
from hybridbatch.training.masked_language import UNMASKED, MaskedLanguageHead, Masking, take_over_published_head
from hybridbatch.training.precision import computing
from hybridbatch.training.stage_loop import StageLoop, settings_of_stage
from hybridbatch.training.text_passes import TextPass, text_passes
from hybridbatch.training.unlabelled_text import TextBatches, TranslationBatches, check_batch, texts_in

if TYPE_CHECKING:
    from hybridbatch.training.arms.domain_adaptation import DomainAdaptation

NAME = "domain-adaptation"


class TextAdaptation:
    """Trains an encoder to say which tokens were masked (DAPT, arXiv 2004.10964; TLM, arXiv 1901.07291).

    Args:
        settings: What to do.
        context: The trial.
    """

    def __init__(self, settings: DomainAdaptation, context: ArmContext) -> None:
        self._settings, self._context = settings, context
        experiment = context.experiment
        self._training = settings_of_stage(
            experiment.training,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            warmup=settings.warmup,
            weight_decay=settings.weight_decay,
        )
        self._backbone = context.workshop.backbone(experiment)
        self._longest = settings.tokens or self._backbone.passage_tokens
        chunk = experiment.training.chunk_tokens
        self._most_tokens = min(
            tokens_of_pass(context.device, packed=False), chunk if isinstance(chunk, int) else 1 << 62
        )
        self._parallel = settings.objective == "tlm"
        self._texts = texts_in(settings.text, context.workshop.location, parallel=self._parallel)

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self._settings.steps

    def identity(self) -> Mapping[str, Any]:
        """Return which text is read, and in passes of which size: dropout is drawn for each pass."""
        return {"texts": [text.fingerprint for text in self._texts], "pass_tokens": self._most_tokens}

    def run(self, encoder: nn.Module, work: StageWork) -> StageReport:
        """Train the transformer of ``encoder`` with a head that is not kept.

        Raises:
            UserError: If the backbone has no mask, or fewer positions than texts are to have tokens, or a batch is
                larger than all text.
            TrialError: If the loss is not finite.
        """
        body, device = cast(TextEncoder, encoder).body, self._context.device
        masking = self._masking(body)
        head, is_pretrained = self._head(body)
        trained = nn.ModuleDict({"body": body, "head": head.to(device)})
        trained.train()
        batches = self._batches()

        def backward(step: int) -> Tensor:
            texts, labels = masking.masked(batches.batch(step), step)
            places = max(1, int((labels.ids != UNMASKED).sum()))
            total = torch.zeros((), device=device)
            passes = (text_passes(one, self._most_tokens, packed=False) for one in (texts, labels))
            for one, label in zip(*passes, strict=True):
                total += self._backward_of_pass(body, head, one.to(device), label.ids.to(device), places)
            return total

        losses = StageLoop(NAME, trained, self._training, device, work).run(backward)
        return StageReport(losses, {"pretrained_head": is_pretrained, "texts": [text.name for text in self._texts]})

    def _backward_of_pass(
        self, body: Any, head: MaskedLanguageHead, texts: TextPass, labels_RT: Tensor, places: int
    ) -> Tensor:
        masked_RT = labels_RT != UNMASKED
        if not bool(masked_RT.any()):
            return torch.zeros((), device=labels_RT.device)
        with computing(self._training, self._context.device):
            states_RTH = body(input_ids=texts.ids, attention_mask=texts.mask_RT).last_hidden_state
            loss = head.loss_sum(states_RTH[masked_RT], labels_RT[masked_RT]) / places
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _masking(self, body: Any) -> Masking:
        tokenizer = self._context.tokenizer
        most = most_tokens(body)
        if most is not None and self._longest > most:
            raise too_few_positions(self._longest, most)
        return Masking(
            probability=self._settings.masking,
            mask_id=mask_id(tokenizer, trained_here=self._backbone.random_weights),
            special_ids=special_ids(tokenizer),
            vocabulary=len(tokenizer),
            seed=self._training.seed,
        )

    def _head(self, body: Any) -> tuple[MaskedLanguageHead, bool]:
        torch.manual_seed(derive_seed(self._training.seed, NAME, "head"))
        epsilon = getattr(body.config, "layer_norm_eps", 1e-12)
        head = MaskedLanguageHead(body.get_input_embeddings(), body.config.hidden_size, epsilon)
        folder = self._backbone.transformer_folder()
        return head, folder is not None and take_over_published_head(head, folder, str(folder))

    def _batches(self) -> TextBatches | TranslationBatches:
        check_batch(self._settings.batch_size, self._texts, parallel=self._parallel)
        longest = self._longest // 2 if self._parallel else self._longest
        stores = [text.tokens(self._context, longest) for text in self._texts]
        size, seed = self._settings.batch_size, derive_seed(self._training.seed, NAME)
        if not self._parallel:
            return TextBatches(stores, size, seed)
        opening = opening_ids(stores, self._context.tokenizer)
        return TranslationBatches(stores, [text.row_IL for text in self._texts], size, seed, opening)
