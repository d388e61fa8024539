"""Steps dealt out to streams in exact proportion, with every step's place computed on its own.

Step ``t`` falls on the point ``(start + t * golden ratio) mod 1`` of a circle that is cut into one arc per stream, as
long as the stream's share. The golden rotation is the most even of all rotations: each stream has had its share to
within a step or two (three at times; the bound grows with the logarithm of the number of steps), and how often it was
chosen before step ``t`` is a sum that Euclid's algorithm gives.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from fractions import Fraction

_CIRCLE = 1 << 64
_STRIDE = 0x9E3779B97F4A7C15  # the odd number nearest to _CIRCLE / golden ratio


class Rotation:
    """Deals steps to streams.

    Args:
        weights: One positive weight per stream.
        seed: Chooses where on the circle step 0 falls.
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        if not weights or min(weights) <= 0:
            raise ValueError("every stream needs a positive weight")
        total, sum_so_far = sum(map(Fraction, weights)), Fraction(0)
        self._ends: list[int] = []
        for weight in weights:
            sum_so_far += Fraction(weight)
            self._ends.append(int(sum_so_far / total * _CIRCLE))
        self._start = seed % _CIRCLE

    def stream(self, step: int) -> int:
        """Return the stream of ``step``."""
        return bisect.bisect_right(self._ends, (self._start + step * _STRIDE) % _CIRCLE)

    def count(self, stream: int, step: int) -> int:
        """Return how many steps before ``step`` belong to ``stream``."""
        below = self._ends[stream - 1] if stream else 0
        first, last = (_floor_sum(step, _CIRCLE, _STRIDE, self._start - end) for end in (below, self._ends[stream]))
        return first - last


def _floor_sum(terms: int, modulus: int, stride: int, start: int) -> int:
    """Return the sum over ``t < terms`` of ``(start + t * stride) // modulus``, by Euclid's algorithm."""
    total = 0
    while terms > 0:
        total += terms * (terms - 1) // 2 * (stride // modulus) + terms * (start // modulus)
        stride, start = stride % modulus, start % modulus
        top = stride * terms + start
        if top < modulus:
            break
        terms, start, modulus, stride = top // modulus, top % modulus, stride, modulus
    return total
