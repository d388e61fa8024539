"""The faults of a chaos test, each under a name: what breaks, and what mends it again."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
from tests.chaos.local_cluster import DEAD_AFTER, Node
from tests.chaos.world import World
from tests.small_disk import leave

_PATIENCE = 300.0  # seconds until there is something to break
Fault = Callable[[World, random.Random], str]
FAULTS: dict[str, Fault] = {}


def fault(strike: Fault) -> Fault:
    """Register a fault under the name of its function."""
    FAULTS[strike.__name__.replace("_", " ")] = strike
    return strike


@fault
def driver_killed(world: World, draw: random.Random) -> str:
    """Kill the driver; the next one goes on."""
    world.kill_driver()
    return "SIGKILL"


@fault
def user_stop(world: World, draw: random.Random) -> str:
    """Stop the driver with Ctrl-C."""
    world.stop_driver()
    return "SIGINT"


def _kill_actor(world: World, draw: random.Random, kind: str) -> str:
    titles = world.actors[kind]
    victims: list[psutil.Process] = []

    def found() -> bool:
        victims[:] = [one for node in world.cluster.all_nodes for one in node.actors(*titles)]
        return bool(victims)

    world.run_until(found, _PATIENCE)
    victim = draw.choice(victims)
    with suppress(psutil.NoSuchProcess):
        victim.kill()
    return f"one of {len(victims)}"


@fault
def worker_killed(world: World, draw: random.Random) -> str:
    """Kill a Ray Train worker."""
    return _kill_actor(world, draw, "worker")


@fault
def trainable_killed(world: World, draw: random.Random) -> str:
    """Kill the actor of a Tune trial."""
    return _kill_actor(world, draw, "trainable")


@fault
def train_controller_killed(world: World, draw: random.Random) -> str:
    """Kill the controller of a worker group."""
    return _kill_actor(world, draw, "controller")


def _some_node(world: World, draw: random.Random) -> tuple[int, Node]:
    world.cluster.wait_for_nodes(alone=False)  # one that was lost just now has come back first
    number = draw.randrange(len(world.cluster.nodes))  # not the head: it takes the cluster with it, driver and all
    return number, world.cluster.nodes[number]


@fault
def raylet_killed(world: World, draw: random.Random) -> str:
    """Kill the raylet of a node; the node is started again."""
    number, node = _some_node(world, draw)
    raylet = node.raylet()
    assert raylet is not None, f"node {number} has no raylet"
    raylet.kill()
    away = draw.uniform(0, 10)
    time.sleep(away)
    world.cluster.bring_back(node)
    return f"node {number}, {away:.0f} s"


@fault
def node_killed(world: World, draw: random.Random) -> str:
    """Kill all processes of a node; it is started again."""
    number, node = _some_node(world, draw)
    node.kill()
    away = draw.uniform(0, 10)
    time.sleep(away)
    world.cluster.bring_back(node)
    return f"node {number}, {away:.0f} s"


@fault
def node_out_of_reach(world: World, draw: random.Random) -> str:
    """Let a node not answer, its workers still at work: for a moment, or until the head takes it for dead."""
    number, node = _some_node(world, draw)
    raylet = node.raylet()
    assert raylet is not None, f"node {number} has no raylet"
    away = draw.choice([draw.uniform(1, 5), DEAD_AFTER + draw.uniform(10, 20)])
    raylet.send_signal(signal.SIGSTOP)
    time.sleep(away)
    with suppress(psutil.NoSuchProcess):
        raylet.send_signal(signal.SIGCONT)
    if away > DEAD_AFTER:
        world.cluster.bring_back(node)
    return f"node {number}, {away:.0f} s"


@fault
def mlflow_server_killed(world: World, draw: random.Random) -> str:
    """Kill the MLflow server; it is started again."""
    world.mlflow.kill()
    away = draw.uniform(0, 20)
    time.sleep(away)
    world.mlflow.start()
    return f"{away:.0f} s"


@fault
def postgresql_restarted(world: World, draw: random.Random) -> str:
    """Stop PostgreSQL, cleanly or at once, and start it again."""
    how = draw.choice([signal.SIGINT, signal.SIGQUIT])
    world.postgresql.stop(how)
    away = draw.uniform(0, 20)
    time.sleep(away)
    world.postgresql.start()
    return f"{how.name}, {away:.0f} s"


@fault
def disk_full(world: World, draw: random.Random) -> str:
    """Fill the disk of the home folder, and free it again once the driver has ended or after a while."""
    kilobytes = draw.choice([0, 8, 48, 160])
    leave(world.disk, kilobytes)
    end = time.monotonic() + draw.uniform(5, 30)
    while time.monotonic() < end and world.driver.poll() is None:
        time.sleep(0.2)
    (world.disk / "ballast").unlink()
    return f"{kilobytes} kB left"
