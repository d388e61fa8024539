"""Fingerprints and seeds are the same on every machine: values written down here once must never change."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.seeds import derive_seed


def test_the_order_of_keys_does_not_count_and_everything_else_does():
    assert fingerprint.of_json({"a": 1, "b": 2}) == fingerprint.of_json({"b": 2, "a": 1})
    assert fingerprint.of_json([1, 2]) != fingerprint.of_json([2, 1])
    assert fingerprint.of_json({"a": 1}) != fingerprint.of_json({"a": "1"})
    assert fingerprint.of_json("é") == fingerprint.of_bytes(['"é"'.encode()])


def test_fingerprints_are_short_and_the_same_everywhere():
    assert fingerprint.of_bytes([b""]) == "e3b0c44298fc1c14"  # SHA-256 of nothing, cut
    assert fingerprint.of_bytes([b"ab", b"c"]) == fingerprint.of_bytes([b"abc"]) == "ba7816bf8f01cfea"


def test_borders_between_texts_count():
    assert fingerprint.of_texts(["ab", "c"]) != fingerprint.of_texts(["a", "bc"])
    assert fingerprint.of_texts(["ab", ""]) != fingerprint.of_texts(["ab"])
    assert fingerprint.of_texts(iter(["ab"])) == fingerprint.of_texts(["ab"])


def test_borders_between_files_count_and_their_names_do_not(tmp_path: Path):
    for name, content in (("a", b"xy"), ("b", b"z"), ("c", b"x"), ("d", b"yz"), ("e", b"xy")):
        (tmp_path / name).write_bytes(content)
    a, b, c, d, e = (tmp_path / name for name in "abcde")
    assert fingerprint.of_files([a, b]) == fingerprint.of_files([e, b])
    assert fingerprint.of_files([a, b]) != fingerprint.of_files([c, d])
    assert fingerprint.of_files([a, b]) != fingerprint.of_files([b, a])


@pytest.mark.parametrize(
    ("parts", "seed"), [((0, "weights"), 2644839402907769936), ((0, "step", 7, 1), 456316514228703554)]
)
def test_seeds_never_change(parts: tuple[int | str, ...], seed: int):
    assert derive_seed(*parts) == seed


def test_every_part_its_type_and_its_place_count():
    seeds = [derive_seed(*parts) for parts in ((1, 2), (2, 1), ("1", 2), (12,), (1, "2"), (1,), ("1\x1f2",), ())]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
