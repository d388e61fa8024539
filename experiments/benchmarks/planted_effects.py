"""How often an ablation's intervals hold the effects that were planted, and how often it tells equal arms apart.

    python experiments/benchmarks/planted_effects.py [--repetitions 500] [--seeds 2 3 5 10] [--items 150]
        [--languages 4] [--arms 4] [--noise NAME] [--json]

No model is trained: the score of every question is drawn. All else is what ``compare`` and the report do: the two-level
test of every arm against the control, and Holm's correction over all arms and places. A score is as skewed as a
reciprocal rank, 1 / (1 + floor(exp(x))), and x is a sum of normal parts: how hard an item is and how hard in a
language, for all arms alike; what an arm is good at, altogether (the planted effect, in each language another one), by
item, and by item and language; what a seed does to a run, altogether, by language and by item; and the single row. The
true difference of two arms is the expectation of such scores, known to 1e-6.

*Covered* is the share of intervals (95%) that hold the true effect, of the headline and of single languages. *Alarms*
is the share of repetitions without any effect in which anything is called different after the correction; *raw alarms*
is the same with the p-values that go with the intervals. ``±`` is the standard error by the repetitions: intervals of
one repetition are not independent.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hybridbatch.metrics.significance.clustered_means import ClusteredMeans
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.metrics.significance.two_level import two_level_test

Floats = NDArray[np.float64]

AT_ONCE = 50  # repetitions that one call of the test looks at, each as measures of its own
ALPHA = 0.05
EFFECTS = (0.0, -0.25, 0.1, -0.6)  # of the control and of the arms, in x: below 0 is better
LARGEST_RANK = 1 << 20


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the parts of x.

    Attributes:
        item: How hard an item is, for all arms alike.
        item_language: How hard it is in a language, for all arms alike.
        arm_item: Items that an arm is good at, whatever its seed.
        arm_item_language: The same in a language.
        seed: Seeds that give better or worse runs altogether.
        seed_language: Seeds that give better or worse runs in a language.
        seed_item: Items that a run happens to be good at.
        row: Single questions; the rows of calmer arms are noisier, so that all arms have one distribution.
        uneven: By how much the seeds of every other arm are calmer.
    """

    item: float = 1.5
    item_language: float = 0.7
    arm_item: float = 0.6
    arm_item_language: float = 0.4
    seed: float = 0.1
    seed_language: float = 0.1
    seed_item: float = 0.5
    row: float = 0.7
    uneven: float = 1.0

    def of_arm(self, arm: int) -> tuple[float, float, float]:
        """Return the deviations of seeds, of seeds by language and of rows for an arm."""
        calm = self.uneven if arm % 2 else 1.0
        missing = (self.seed**2 + self.seed_language**2) * (1 - calm**-2)
        return self.seed / calm, self.seed_language / calm, math.sqrt(self.row**2 + missing)

    @property
    def total(self) -> float:
        """The standard deviation of x."""
        return math.sqrt(sum(part**2 for name, part in asdict(self).items() if name != "uneven"))


NOISES = {
    "no seed noise": Noise(seed=0.0, seed_language=0.0),
    "little": Noise(seed=0.03, seed_language=0.03),
    "as questions": Noise(seed=0.1, seed_language=0.1),
    "as measured": Noise(seed=0.25, seed_language=0.15),
    "nothing else": Noise(0.3, 0.1, 0.1, 0.1, 0.5, 0.2, 0.1, 0.1),
    "uneven": Noise(seed=0.25, seed_language=0.15, uneven=4.0),
}


def expected_score(shift: Floats, deviation: float) -> Floats:
    """Return the expectation of 1 / (1 + floor(exp(x))) for normal x of these means: known to 1e-6."""
    from scipy.special import ndtr

    edges_K = np.concatenate([[-np.inf], np.log(np.arange(1, LARGEST_RANK))])
    below_K = [ndtr((edges_K - one) / deviation) for one in np.ravel(shift)]
    value_K = 1 / np.arange(1, LARGEST_RANK + 1)
    means = [float(np.diff(one, append=1.0) @ value_K) for one in below_K]
    return np.array(means).reshape(np.shape(shift))


def planted(arms: int, languages: int, *, any_effect: bool) -> Floats:
    """Return what is planted [A, L]: an effect of each arm, in each language another one."""
    if not any_effect:
        return np.zeros((arms, languages))
    of_arm_A = np.resize(EFFECTS, arms)
    return np.outer(of_arm_A, np.linspace(0.5, 1.5, languages) if languages > 1 else np.ones(1))


def scores(random: np.random.Generator, noise: Noise, effect_AL: Floats, seeds: list[int], items: int) -> list[Floats]:
    """Return the scores [S, N, I, L] of each arm, S of them runs."""
    arms, languages = effect_AL.shape
    wide, deep = (AT_ONCE, items, 1), (AT_ONCE, items, languages)
    shared_NIL = random.normal(0, noise.item, wide) + random.normal(0, noise.item_language, deep)
    found = []
    for arm in range(arms):
        of_seed, by_language, of_row = noise.of_arm(arm)
        of_arm_NIL = random.normal(0, noise.arm_item, wide) + random.normal(0, noise.arm_item_language, deep)
        x_SNIL = shared_NIL + of_arm_NIL + effect_AL[arm]
        x_SNIL = x_SNIL + random.normal(0, of_seed, (seeds[arm], AT_ONCE, 1, 1))
        x_SNIL = x_SNIL + random.normal(0, by_language, (seeds[arm], AT_ONCE, 1, languages))
        x_SNIL = x_SNIL + random.normal(0, noise.seed_item, (seeds[arm], *wide))
        x_SNIL = x_SNIL + random.normal(0, of_row, (seeds[arm], *deep))
        found.append(1 / (1 + np.floor(np.exp(x_SNIL))))
    return found


def measures(scores_NIL: Floats) -> ClusteredMeans:
    """Return the headline of every repetition, then its languages: N (1 + L) measures."""
    repetitions, items, languages = scores_NIL.shape
    sums_IC = np.transpose(scores_NIL, (1, 0, 2)).reshape(items, -1)
    of_one_LP = np.hstack([np.ones((languages, 1)), np.eye(languages)])
    return ClusteredMeans(sums_IC, np.ones_like(sums_IC), np.kron(np.eye(repetitions), of_one_LP))


@dataclass(frozen=True)
class Outcome:
    """What the test says of some repetitions.

    Attributes:
        covered_NAP: Whether the interval of each arm and place holds the truth.
        alarm_N: Whether anything was called different.
        raw_alarm_N: Whether anything would be, were the p-values of the intervals corrected.
        found_NA: Whether the headline of each arm was called different.
    """

    covered_NAP: NDArray[np.bool_]
    alarm_N: NDArray[np.bool_]
    raw_alarm_N: NDArray[np.bool_]
    found_NA: NDArray[np.bool_]


def outcomes(
    noise: Noise, seeds: list[int], items: int, languages: int, repetitions: int, *, any_effect: bool, seed: int = 0
) -> Iterator[Outcome]:
    """Yield what the test says, some repetitions at a time.

    Args:
        noise: What scatters.
        seeds: Runs of the control and of each arm.
        items: Parallel questions.
        languages: Languages of each.
        repetitions: How often all of it is drawn, rounded up.
        any_effect: Whether effects are planted.
        seed: Of the drawing.
    """
    effect_AL = planted(len(seeds), languages, any_effect=any_effect)
    mean_AL = expected_score(effect_AL, noise.total)
    true_AP = np.hstack([mean_AL.mean(axis=1, keepdims=True), mean_AL])
    true_AP = true_AP[1:] - true_AP[0]
    for batch in range(-(-repetitions // AT_ONCE)):
        random = np.random.default_rng([20261122, seed, batch])
        control, *arms = [
            [measures(run) for run in of_arm] for of_arm in scores(random, noise, effect_AL, seeds, items)
        ]
        tested = [two_level_test(arm, control, alpha=ALPHA) for arm in arms]
        low, high, p, cautious = (
            np.stack([getattr(one, name).reshape(AT_ONCE, -1) for one in tested], axis=1)
            for name in ("low_M", "high_M", "p_M", "cautious_p_M")
        )
        raw, held = (
            np.stack([holm(one.ravel()).reshape(one.shape) <= ALPHA for one in of_all]) for of_all in (p, cautious)
        )
        covered = (low <= true_AP) & (true_AP <= high)
        yield Outcome(covered, held.any(axis=(1, 2)), raw.any(axis=(1, 2)), held[:, :, 0])


def rate(hits_NK: NDArray[np.bool_]) -> tuple[float, float]:
    """Return a share and its standard error, where what stands in one row is not independent."""
    by_repetition = hits_NK.reshape(len(hits_NK), -1).mean(axis=1)
    return float(by_repetition.mean()), float(by_repetition.std(ddof=1) / math.sqrt(len(by_repetition)))


def row(name: str, seeds: list[int], options: argparse.Namespace) -> dict[str, object]:
    """Return one row of the table."""
    given = (NOISES[name], seeds, options.items, options.languages, options.repetitions)
    with_effects = list(outcomes(*given, any_effect=True))
    equal = list(outcomes(*given, any_effect=False, seed=1))
    covered_NAP = np.concatenate([one.covered_NAP for one in with_effects])
    shares = {
        "headline": covered_NAP[:, :, 0],
        "languages": covered_NAP[:, :, 1:],
        "alarms": np.concatenate([one.alarm_N for one in equal]),
        "raw alarms": np.concatenate([one.raw_alarm_N for one in equal]),
        "largest found": np.concatenate([one.found_NA for one in with_effects])[:, len(EFFECTS) - 2 :: len(EFFECTS)],
    }
    numbers = {"family": covered_NAP[0].size, "repetitions": len(covered_NAP)}
    return {"noise": name, "seeds": "-".join(map(str, dict.fromkeys(seeds))), **numbers} | {
        key: rate(hits) for key, hits in shares.items()
    }


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10])
    parser.add_argument("--control-seeds", type=int, help="seeds of the control, if other than those of the arms")
    parser.add_argument("--items", type=int, default=150)
    parser.add_argument("--languages", type=int, default=4)
    parser.add_argument("--arms", type=int, default=4, help="with the control")
    parser.add_argument("--noise", choices=sorted(NOISES), help="one kind of noise alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    if not options.json:
        print(
            "noise          seeds  covered: headline  languages     alarms        raw alarms    largest found  family"
        )
    for name in NOISES if options.noise is None else (options.noise,):
        for number in options.seeds:
            seeds = [options.control_seeds or number, *[number] * (options.arms - 1)]
            rows.append(one := row(name, seeds, options))
            if not options.json:
                shares = (
                    f"{share:6.1%} ± {error:.1%}"
                    for share, error in (value for value in one.values() if isinstance(value, tuple))
                )
                print(f"{name:14s} {one['seeds']:>5s}  {'  '.join(shares)}  {one['family']:6}", flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
