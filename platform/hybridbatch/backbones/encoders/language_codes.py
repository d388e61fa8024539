"""mBART's tokenizers: each text carries the code of its language.

mBART-50 (arXiv 2008.00401) reads ``[code] X </s>``, mBART-25 (arXiv 2001.08210) ``X </s> [code]``. The tokenizer of the
model says which codes there are; data sets name languages by BCP 47.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hybridbatch.foundation.errors import UserError


class LanguageCodedTokenizer:
    """The :class:`~hybridbatch.backbones.backbone.LanguageAwareTokenizer` of mBART.

    Args:
        tokenizer: The Hugging Face tokenizer.
        name: Name of the model, for messages.

    Attributes:
        tokenizer: The Hugging Face tokenizer.
        code_ids: Token ids of all codes.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        codes = {code: one for code, one in tokenizer.lang_code_to_id.items() if one != tokenizer.unk_token_id}
        self.tokenizer, self._name = tokenizer, name
        self._source_code = tokenizer.src_lang
        self._codes = code_of_language(codes)
        self.code_ids = tuple(sorted(codes.values()))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it has a code for (BCP 47)."""
        return tuple(sorted(self._codes))

    @property
    def pad_token_id(self) -> int:
        """The id that fills up shorter texts."""
        return int(self.tokenizer.pad_token_id)

    def __len__(self) -> int:
        return len(self.tokenizer)

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token."""
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        return vocabulary

    def code(self, language: str) -> str:
        """Return the code of a language, found by its whole name or else by the language without script and region.

        Raises:
            UserError: If it has none, or several that only a region would tell apart.
        """
        for known in (language, language.split("-", maxsplit=1)[0].lower()):
            if known in self._codes:
                return self._codes[known]
        raise UserError(
            "the model has no code for this language",
            file=self._name,
            seen=language,
            allowed=", ".join(self.languages),
            remedy="name those that you want under `languages` of the data set, or choose another backbone",
        )

    def check_languages(self, languages: Iterable[str]) -> None:
        """Raise a :class:`UserError` for the first language that has no code."""
        for language in languages:
            self.code(language)

    def token_ids(self, texts: Sequence[str], languages: Sequence[str], longest: int) -> list[list[int]]:
        """Return the ids of every text, code and other special tokens included; longer ones are cut to ``longest``.

        Raises:
            UserError: For a language that has no code.
        """
        found: list[list[int]] = [[] for _ in texts]
        for language in dict.fromkeys(languages):
            rows = [row for row, one in enumerate(languages) if one == language]
            self.tokenizer.src_lang = self.code(language)
            encoded = self.tokenizer([texts[row] for row in rows], truncation=True, max_length=longest)["input_ids"]
            for row, ids in zip(rows, encoded, strict=True):
                found[row] = ids
        return found

    def save_pretrained(self, folder: Path) -> None:
        """Write the Hugging Face tokenizer as it was loaded."""
        self.tokenizer.src_lang = self._source_code
        self.tokenizer.save_pretrained(folder)


def code_of_language(codes: Iterable[str]) -> dict[str, str]:
    """Return each code (``en_XX``) by the name of its language: ``en``, or ``zh-CN`` where several codes share one."""
    known = sorted(codes)
    sharing = Counter(code.split("_")[0] for code in known)
    bases = {code: code.split("_")[0] for code in known}
    return {base if sharing[base] == 1 else code.replace("_", "-"): code for code, base in bases.items()}


def language_coded(tokenizer: Any, name: str, folder: Path) -> LanguageCodedTokenizer:
    """Return the tokenizer of an mBART model as one that is told languages.

    Args:
        tokenizer: The Hugging Face tokenizer.
        name: Name of the model, for messages.
        folder: Where it was loaded from.

    Raises:
        UserError: If it knows no language codes.
    """
    if not getattr(tokenizer, "lang_code_to_id", None):
        raise UserError(
            "the tokenizer knows no language codes",
            file=name,
            seen=type(tokenizer).__name__,
            allowed="MBart50Tokenizer or MBartTokenizer",
            remedy="state it as `tokenizer_class` in tokenizer_config.json",
        )
    if tokenizer.backend_tokenizer.normalizer is None:  # transformers 5.23 loses that of mBART-25
        tokenizer.backend_tokenizer.normalizer = _published_normaliser(folder)
    return LanguageCodedTokenizer(tokenizer, name)


def _published_normaliser(folder: Path) -> Any:
    """Return what the model's own files do to text before it is cut into pieces: full-width commas become commas."""
    from tokenizers import Tokenizer, normalizers

    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json")).normalizer
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString((folder / "sentencepiece.bpe.model").read_bytes())
    characters = model.normalizer_spec.precompiled_charsmap
    return normalizers.Precompiled(characters) if characters else None
