"""The response of a measure to one searched value (or to shares of the mix), by a Gaussian process with noise.

The process is fitted over all searched values at once, so that what the others did is no noise of the one looked at;
then the others are averaged out over the values that the trials had, and what is left is the response:

    f(x) ~ GP(0, s² Π_d k(x_d, x'_d)) + noise,        m(x) = 1/n Σ_i E[f(x, z_i) | trials]

Numbers are scaled to [0, 1] over the trials, the logarithms of those searched on a logarithmic scale; a list counts
for its length; a choice stands at a corner of its own. How smooth the response is and how noisy trials are is not known
either: settings of the process are drawn from their posterior (Metropolis), and intervals hold that uncertainty too.

Sources: Rasmussen and Williams, *Gaussian processes for machine learning*, 2006, 2.2 and 5.2; Friedman, *Greedy
function approximation*, Annals of Statistics 29, 2001, 8.2 (averaging the others out: partial dependence).

Shape legend: N trials, D scaled values, G places of the grid, H settings of the process, R draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_TRIALS, FEWEST_VALUES = 8, 5
MOST_TRIALS = 200  # of more of them every k-th is taken: the cost grows with their cube
GRID = 61
_LEVEL = 0.95
_STARTS = 40  # settings drawn from the prior, of which the most likely one begins the walk
_STEPS, _BURN_IN, _KEPT = 480, 120, 24  # of the Metropolis walk: settings looked at, passed over, kept
_DRAWS = 100  # functions drawn for each setting
_UNKNOWN = 0.8  # share of the range from which on an interval for the optimum says nothing
_WEIGHED = 60  # values of the others that are averaged over, at most


@dataclass(frozen=True)
class Response:
    """A fitted response.

    Attributes:
        places: Values on the grid; of several paths one tuple each.
        mean: Expected measure there, the other searched values averaged out.
        low: Lower end of the 95% interval of the mean response; a single trial scatters by ``noise`` around it.
        high: Upper end.
        noise: Standard deviation of a trial around its expectation.
        optimum: Where the expected measure is best.
        optimum_low: Lower end of the 95% interval of the place of the best value, by draws of whole responses.
        optimum_high: Upper end.
        is_vague: Whether that interval covers most of the range, so that nothing is known of the place.
        trials: Trials that it rests on.
    """

    places: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    noise: float
    optimum: tuple[float, ...]
    optimum_low: tuple[float, ...]
    optimum_high: tuple[float, ...]
    is_vague: bool
    trials: int


@dataclass(frozen=True)
class TooFew:
    """Why no response was fitted."""

    reason: str


def fit_response(
    points: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    path: str,
    *,
    logarithmic: frozenset[str] = frozenset(),
    direction: Literal["maximize", "minimize"] = "maximize",
    seed: int = 0,
) -> Response | TooFew:
    """Return the response of a measure to one searched value.

    Args:
        points: The searched values of each trial by path.
        values: The measure of each trial.
        path: The value looked at; numbers, or lists that count for their lengths.
        logarithmic: Paths searched on a logarithmic scale.
        direction: Which way is better.
        seed: Seed of all draws.
    """
    looked_at = [as_number(point.get(path)) for point in points]
    known = [place for place in looked_at if place is not None]
    if len(known) < max(FEWEST_TRIALS, len(points)) or len(set(known)) < FEWEST_VALUES:
        needed = f"needs {FEWEST_TRIALS} complete trials with {FEWEST_VALUES} different numbers"
        return TooFew(f"{needed}; there are {len(known)} with {len(set(known))}")
    low, high = min(known), max(known)
    log = path in logarithmic and low > 0
    grid = np.geomspace(low, high, GRID) if log else np.linspace(low, high, GRID)
    return _fit(points, values, {path: grid}, logarithmic, direction, seed)


def fit_surface(
    points: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    places: Mapping[str, Floats],
    *,
    logarithmic: frozenset[str] = frozenset(),
    direction: Literal["maximize", "minimize"] = "maximize",
    seed: int = 0,
) -> Response | TooFew:
    """Return the response of a measure to several values at once, such as two shares of a mix.

    Args:
        points: The values of each trial by path.
        values: The measure of each trial.
        places: The grid: by path the value at each of its places.
        logarithmic: Paths searched on a logarithmic scale.
        direction: Which way is better.
        seed: Seed of all draws.
    """
    different = len({tuple(point[path] for path in places) for point in points})
    if len(points) < FEWEST_TRIALS + 2 or different < FEWEST_TRIALS:
        needed = f"needs {FEWEST_TRIALS + 2} complete trials at {FEWEST_TRIALS} different places"
        return TooFew(f"{needed}; there are {len(points)} at {different}")
    return _fit(points, values, places, logarithmic, direction, seed)


def as_number(value: Any) -> float | None:
    """Return a number, or the length of a list (the number of languages); None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    return float(len(value)) if isinstance(value, list | tuple) else None


@dataclass(frozen=True)
class _Scale:
    """How the values of a path become coordinates: one of a number, one for each other choice but the first."""

    path: str
    low: float
    high: float
    log: bool
    choices: tuple[str, ...]

    @classmethod
    def of(cls, path: str, points: Sequence[Mapping[str, Any]], logarithmic: frozenset[str]) -> _Scale:
        numbers = [as_number(point.get(path)) for point in points]
        known = [number for number in numbers if number is not None]
        if len(known) < len(points):
            return cls(path, 0.0, 1.0, False, tuple(sorted({str(point.get(path)) for point in points})))
        return cls(path, min(known), max(known), path in logarithmic and min(known) > 0, ())

    def __call__(self, values: Sequence[Any]) -> Floats:
        """Return the coordinates [N, 0, 1 or more] of values."""
        if self.choices:
            return np.array([[float(str(value) == choice) for choice in self.choices[1:]] for value in values])
        number_N = np.array([as_number(value) for value in values], dtype=np.float64)
        low, high = self.low, self.high
        if self.log:
            number_N, low, high = np.log(number_N), math.log(low), math.log(high)
        return ((number_N - low) / (high - low))[:, None] if high > low else np.empty((len(number_N), 0))


def _fit(
    points: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    places: Mapping[str, Floats],
    logarithmic: frozenset[str],
    direction: str,
    seed: int,
) -> Response:
    step = -(-len(points) // MOST_TRIALS)
    points, measured_N = list(points)[::step], np.array(values, dtype=np.float64)[::step]
    paths = [*places, *sorted({path for point in points for path in point if path not in places})]
    scales = [_Scale.of(path, points, logarithmic) for path in paths]
    blocks = [scale([point.get(scale.path) for point in points]) for scale in scales]
    at_ND = np.hstack(blocks)
    chosen = sum(block.shape[1] for block in blocks[: len(places)])
    grid_GD = np.hstack([scale(list(places[scale.path])) for scale in scales[: len(places)]])
    offset, spread = float(measured_N.mean()), float(measured_N.std()) or 1.0
    random = np.random.default_rng(seed)
    scaled_N = (measured_N - offset) / spread
    settings = _settings(at_ND, scaled_N, random)
    sign = 1.0 if direction == "maximize" else -1.0
    drawn, means, noises = [], [], []
    for theta in settings:
        mean_G, covariance_GG, noise = _averaged(theta, at_ND, scaled_N, grid_GD, chosen)
        root_GG = np.linalg.cholesky(covariance_GG + 1e-9 * np.eye(len(grid_GD)) * max(1.0, covariance_GG.max()))
        drawn.append(mean_G + random.standard_normal((_DRAWS, len(grid_GD))) @ root_GG.T)
        means.append(mean_G)
        noises.append(noise)
    drawn_RG = offset + spread * np.concatenate(drawn)
    mean_G = offset + spread * np.mean(means, axis=0)
    tail = (1 - _LEVEL) / 2
    low_G, high_G = np.quantile(drawn_RG, [tail, 1 - tail], axis=0)
    grid = [tuple(float(places[path][g]) for path in places) for g in range(len(grid_GD))]
    best_R = np.argmax(sign * drawn_RG, axis=1)
    ends_2D = np.quantile(grid_GD[best_R], [tail, 1 - tail], axis=0)
    ends = [[grid[_nearest(grid_GD[:, d], end)][d] for end in ends_2D[:, d]] for d in range(len(places))]
    return Response(
        places=tuple(grid),
        mean=tuple(map(float, mean_G)),
        low=tuple(map(float, low_G)),
        high=tuple(map(float, high_G)),
        noise=spread * float(np.mean(noises)),
        optimum=grid[int(np.argmax(sign * mean_G))],
        optimum_low=tuple(low for low, _ in ends),
        optimum_high=tuple(high for _, high in ends),
        is_vague=bool(np.all(ends_2D[1] - ends_2D[0] >= _UNKNOWN)),
        trials=len(measured_N),
    )


def _nearest(column_G: Floats, value: float) -> int:
    return int(np.argmin(np.abs(column_G - value)))


def _log_posterior(theta: Floats, squares_DNN: Floats, scaled_N: Floats) -> float:
    """Return the log of the prior times the marginal likelihood of log settings: signal, lengths, noise.

    The prior is log-normal: a signal of the variance of the values, lengths of half the range, a tenth of it for noise.
    """
    from scipy.linalg import LinAlgError, cho_solve, cholesky  # scipy takes long to import

    center = np.log([1.0, *[0.5] * (len(theta) - 2), 0.1])
    prior = -0.5 * float(np.square((theta - center) / _widths(len(theta))).sum())
    apart_NN = np.tensordot(np.exp(-2 * theta[1:-1]), squares_DNN, axes=1)
    kernel_NN = math.exp(theta[0]) * np.exp(-0.5 * apart_NN)
    kernel_NN[np.diag_indices_from(kernel_NN)] += math.exp(theta[-1]) + 1e-8
    try:
        root_NN = cholesky(kernel_NN, lower=True, check_finite=False)
    except LinAlgError:
        return -math.inf
    solved_N = cho_solve((root_NN, True), scaled_N, check_finite=False)
    return prior - 0.5 * float(scaled_N @ solved_N) - float(np.log(np.diag(root_NN)).sum())


def _settings(at_ND: Floats, scaled_N: Floats, random: np.random.Generator) -> list[Floats]:
    """Return settings drawn from their posterior by a random walk."""
    squares_DNN = np.square(at_ND.T[:, :, None] - at_ND.T[:, None, :])
    length = at_ND.shape[1] + 2
    center = np.log([1.0, *[0.5] * at_ND.shape[1], 0.1])
    starts = [center, *(center + _widths(length) * random.standard_normal((_STARTS, length)))]
    levels = [_log_posterior(start, squares_DNN, scaled_N) for start in starts]
    theta, level, walked = starts[int(np.argmax(levels))], max(levels), []
    stride = 0.9 / math.sqrt(length)
    for _ in range(_STEPS):
        other = theta + stride * random.standard_normal(length)
        reached = _log_posterior(other, squares_DNN, scaled_N)
        if math.log(random.random()) < reached - level:
            theta, level = other, reached
        walked.append(theta)
    return walked[_BURN_IN :: (_STEPS - _BURN_IN) // _KEPT]


def _widths(length: int) -> Floats:
    return np.array([1.0] * (length - 1) + [1.5])


def _averaged(
    theta: Floats, at_ND: Floats, scaled_N: Floats, grid_GD: Floats, chosen: int
) -> tuple[Floats, Floats, float]:
    """Return mean and covariance on the grid, the other values averaged out, and the standard deviation of the noise.

    The squared exponential kernel is a product over values, so that averaging over the others is a factor of it.
    """
    signal, lengths_D, noise = math.exp(theta[0]), np.exp(theta[1:-1]), math.exp(theta[-1])
    scaled_ND, grid_GD = at_ND / lengths_D, grid_GD / lengths_D[:chosen]
    mine_ND, others_ND = scaled_ND[:, :chosen], scaled_ND[:, chosen:]
    weighed_WD = others_ND[:: -(-len(others_ND) // _WEIGHED)]
    kernel_NN = signal * _similar(scaled_ND, scaled_ND) + noise * np.eye(len(at_ND))
    across_GN = signal * _similar(grid_GD, mine_ND) * _similar(weighed_WD, others_ND).mean(axis=0)
    inside_GG = signal * _similar(grid_GD, grid_GD) * _similar(weighed_WD, weighed_WD).mean()
    solved_NG = np.linalg.solve(kernel_NN, across_GN.T)
    mean_G: Floats = solved_NG.T @ scaled_N
    covariance_GG = inside_GG - across_GN @ solved_NG
    return mean_G, (covariance_GG + covariance_GG.T) / 2, math.sqrt(noise)


def _similar(one: Floats, other: Floats) -> Floats:
    squares = np.square(one[:, None, :] - other[None, :, :]).sum(axis=2)
    similar: Floats = np.exp(-0.5 * squares)
    return similar
