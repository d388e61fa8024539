"""What `ray up` does with the files in clusters/, as far as it goes without a cloud.

AWS is moto, which answers Ray's own calls: roles, keys, subnets, security groups and machines are made there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private import commands
from ray.autoscaler._private.aws import config as aws
from ray.autoscaler._private.aws import utils
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config

from hybridbatch.cluster.inventory import parse_autoscaler
from hybridbatch.cluster.placement import Cluster, place
from hybridbatch.spec.reader import read_experiment

ROOT = Path(__file__).resolve().parents[2]
LAUNCHED = sorted((ROOT / "clusters").glob("*.yaml"))
EXPERIMENTS = sorted((ROOT / "experiments").glob("*/experiment.yaml"))
COMMANDS = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
            "head_start_ray_commands", "worker_start_ray_commands")  # fmt: skip


def content(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "clusters" / name).read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without clusters, keys and credentials."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return tmp_path


@pytest.fixture
def cloud(user: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(aws.time, "sleep", lambda seconds: None)  # fifteen for a new role to be known everywhere
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        for cache in (utils.resource_cache, utils.client_cache):
            cache.cache_clear()
        yield
    for cache in (utils.resource_cache, utils.client_cache):
        cache.cache_clear()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of botocore
def test_on_aws_it_gets_a_role_a_key_subnets_and_a_group_and_starts_both_kinds_of_machines(
    cloud: None, user: Path
) -> None:
    file = content("aws.yaml")
    made = commands._bootstrap_config(file, no_config_cache=True)
    assert made["head_node"]["IamInstanceProfile"]["Arn"].endswith(":instance-profile/ray-autoscaler-v1")
    key = Path(made["auth"]["ssh_private_key"])
    assert key.parent == user / ".ssh"
    assert key.stat().st_mode & 0o077 == 0
    kinds = made["available_node_types"]
    ec2 = aws._resource("ec2", made)
    zones = [ec2.Subnet(one).availability_zone for one in kinds["gpu"]["node_config"]["SubnetIds"]]
    assert sorted(set(zones)) == file["provider"]["availability_zone"].split(",")
    (group,) = {one for kind in kinds.values() for one in kind["node_config"]["SecurityGroupIds"]}
    rules = ec2.SecurityGroup(group).ip_permissions
    from_outside = [(rule["FromPort"], rule["ToPort"]) for rule in rules if rule["IpRanges"]]
    assert from_outside == [(22, 22)], "nothing but SSH, with the key, from outside"
    inside = [pair["GroupId"] for rule in rules for pair in rule["UserIdGroupPairs"]]
    assert inside == [group]

    provider = AWSNodeProvider(made["provider"], made["cluster_name"])
    image = next(iter(ec2.images.all())).id  # in the file a place that says CHANGE
    for kind in ("head", "gpu"):
        started = provider.create_node({**kinds[kind]["node_config"], "ImageId": image}, {"ray-node-type": kind}, 1)
        (machine,) = started.values()
        assert machine.instance_type == file["available_node_types"][kind]["node_config"]["InstanceType"]
        assert (machine.instance_lifecycle == "spot") == (kind == "gpu")
        sizes = [one["Ebs"]["VolumeSize"] for one in kinds[kind]["node_config"]["BlockDeviceMappings"]]
        assert sizes == [100 if kind == "head" else 150]


def test_on_machines_of_ones_own_it_takes_those_that_are_named(user: Path) -> None:
    made = commands._bootstrap_config(content("on-premise.yaml"), no_config_cache=True)
    assert made["provider"]["worker_ips"] == ["10.0.0.2", "10.0.0.3"]
    (kind,) = made["available_node_types"].values()
    assert (kind["min_workers"], kind["max_workers"], made["max_workers"]) == (2, 2, 2)


@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.name)
def test_every_command_is_one_that_the_shell_takes(file: Path) -> None:
    made = prepare_config(content(file.name))
    lines = [line for name in COMMANDS for line in made[name]]
    assert len(lines) >= 9
    for line in lines:
        parsed = subprocess.run(["bash", "-n", "-c", line], capture_output=True, text=True, check=False)
        assert (parsed.returncode, parsed.stderr) == (0, ""), line
    broken = subprocess.run(["bash", "-n", "-c", "test -x 'a"], capture_output=True, text=True, check=False)
    assert broken.returncode != 0


@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.name)
def test_what_is_brought_to_the_nodes_is_here(file: Path) -> None:
    mounts = content(file.name)["file_mounts"]
    assert mounts == {"~/hybridbatch": ".", "~/.ray/auth_token": "~/.ray/auth_token"}
    assert "cd REPOSITORY && ray up" in (ROOT / "clusters" / "aws.yaml").read_text(encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt", "platform/hybridbatch/__init__.py", "README.md", "LICENSE"):
        assert (ROOT / name).is_file(), "what the nodes install from"
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.optional-dependencies]")[1]
    assert all(f"\n{extra} = [" in extras for extra in ("postgresql", "cluster"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.parent.name)
@pytest.mark.parametrize("cluster", ["aws.yaml", "gcp.yaml"])
def test_the_experiments_fit_on_the_machines(cluster: str, file: Path) -> None:
    made = prepare_config(content(cluster))
    head = made["available_node_types"]["head"]["resources"]
    placement = place(read_experiment(file).resources, Cluster(head, (), parse_autoscaler(made)))
    assert placement.later >= 8, "a trial at a time on each of the eight workers, or more"
