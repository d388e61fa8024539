"""A storm: faults at random times while a study runs on a cluster, then every check.

    python -m tests.chaos.storm [--trials 60] [--steps 1200] [--faults 25] [--seed N] [--stock] [--quiet FOLDER]

With ``--stock`` the storm meets the same trials under Ray Tune, `OptunaSearch` and `MLflowLoggerCallback` alone, and
what a reader finds afterwards is printed instead of checked.

The seed, printed first, decides what breaks, where and when. When is told in the study's own progress, so that a slow
machine meets much the same storm.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.checks import check_everything, report
from tests.chaos.faults import FAULTS
from tests.chaos.stock_world import StockWorld, outcome
from tests.chaos.world import DISK, World
from tests.small_disk import mounted_disk

CALM = 0.9  # share of the work after which nothing breaks any more
STANDSTILL = 600.0  # seconds without progress after which a study is taken for stuck


def storm(world: World, seed: int, count: int, say: Callable[[str], None] = print) -> None:
    """Run the study through ``count`` faults to its end.

    Every kind comes once before any comes twice.
    """
    draw, begun = random.Random(seed), time.monotonic()

    def tell(what: str) -> None:
        say(f"{time.monotonic() - begun:6.0f} s  {world.progress():5.1%}  {what}")

    say(f"seed {seed}: {count} faults in {world.trials} trials")
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += draw.sample(list(FAULTS), len(FAULTS))
    for number, kind in enumerate(kinds[:count]):
        moment = next_moment(world.progress(), count - number, draw)
        world.run_until(lambda moment=moment: world.progress() >= moment, STANDSTILL)  # type: ignore[misc]
        tell(f"{kind}: {FAULTS[kind](world, draw)}")
    world.run_to_the_end(STANDSTILL)
    tell("the study is done")


def next_moment(now: float, left: int, draw: random.Random) -> float:
    """Return when the first of ``left`` faults strikes that are spread evenly over what is left of the work."""
    return now + (CALM - now) * (1.0 - draw.random() ** (1.0 / left))


def main() -> None:
    """Run one storm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--steps", type=int, default=1200, help="of a trial")
    parser.add_argument("--faults", type=int, default=25)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--folder", type=Path, help="where everything is kept for a look afterwards")
    parser.add_argument("--quiet", type=Path, help="for the same study undisturbed, which several storms may share")
    options = parser.parse_args()
    for asked in (signal.SIGTERM, signal.SIGHUP):  # so that whoever kills this leaves no cluster behind
        signal.signal(asked, signal.default_int_handler)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="storm-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"folder {folder}")
    with mounted_disk(folder / "disk", DISK) as disk:
        kind = StockWorld if options.stock else World
        world = kind(folder / "world", disk, options.trials, options.steps, options.quiet)
        try:
            world.start()
            try:
                storm(world, options.seed, options.faults, lambda line: print(line, flush=True))
            finally:
                if isinstance(world, StockWorld):
                    print(json.dumps(outcome(world)))
            if not isinstance(world, StockWorld):
                check_everything(world)
                print(f"all checks hold: {json.dumps(report(world))}")
        finally:
            world.stop()


if __name__ == "__main__":
    main()
