"""The files that start clusters: what Ray's launcher and the Kubernetes operator's autoscaler make of them, dry."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config

from hybridbatch import __version__
from hybridbatch.cluster.inventory import STEADY, parse_autoscaler
from hybridbatch.cluster.placement import Cluster, place
from hybridbatch.spec.resources import Resources, Stores

ROOT = Path(__file__).resolve().parents[2]
LAUNCHED = sorted((ROOT / "clusters").glob("*.yaml"))
SCHEMA = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
GPU_TRIAL = Resources(workers=2, cpus_per_worker=4, gpus_per_worker=1)


def content(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def named(file: Path) -> str:
    return file.name


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "clusters" / "kuberay" / name).read_text(encoding="utf-8")))


def test_there_is_one_for_each_kind_of_machine() -> None:
    assert [file.stem for file in LAUNCHED] == ["aws", "gcp", "on-premise"]


@pytest.mark.parametrize("file", LAUNCHED, ids=named)
def test_a_file_is_what_the_launcher_takes(file: Path) -> None:
    jsonschema.validate(content(file), SCHEMA)
    made = prepare_config(copy.deepcopy(content(file)))
    validate_config(made)
    assert made["head_node_type"] in made["available_node_types"]


@pytest.mark.parametrize("file", LAUNCHED, ids=named)
def test_a_misspelt_key_would_be_found(file: Path) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content(file), "max_wokers": 3}, SCHEMA)


@pytest.mark.parametrize("file", LAUNCHED, ids=named)
def test_nodes_start_with_token_environment_and_constraints(file: Path) -> None:
    made = content(file)
    for role in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert all(". ~/venv/bin/activate" in command for command in made[role]), "jobs find hybridbatch on the PATH"
        (start,) = [command for command in made[role] if "ray start" in command]
        assert "RAY_AUTH_MODE=token" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in "".join(made["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in "".join(made["head_start_ray_commands"])
    assert made["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    setup = "\n".join(made["setup_commands"])
    assert "-c constraints.txt -e '.[postgresql,cluster]'" in setup
    assert "mountpoint -q /shared" in setup


@pytest.mark.parametrize("file", [file for file in LAUNCHED if file.stem != "on-premise"], ids=named)
def test_trials_with_gpus_fit_on_the_workers_and_nothing_on_the_head(file: Path) -> None:
    made = prepare_config(copy.deepcopy(content(file)))
    head = made["available_node_types"]["head"]["resources"]
    assert head["CPU"] == 0
    assert head[STEADY] >= 1
    placement = place(GPU_TRIAL, Cluster(head, (), parse_autoscaler(made)))
    assert (placement.now, placement.later) == (0, 4)
    workers = made["available_node_types"]["gpu"]
    assert STEADY not in workers["resources"]
    assert "spot" in json.dumps(workers["node_config"]).lower()


def test_machines_of_ones_own_have_a_head_that_does_not_train() -> None:
    start = "".join(content(ROOT / "clusters" / "on-premise.yaml")["head_start_ray_commands"])
    assert "--num-cpus=0" in start
    assert f'"{STEADY}":16' in start


def test_the_cluster_in_kubernetes_is_what_its_autoscaler_takes() -> None:
    volume, cluster = manifests("raycluster.yaml")
    assert (volume["kind"], cluster["apiVersion"], cluster["kind"]) == (
        "PersistentVolumeClaim", "ray.io/v1", "RayCluster",
    )  # fmt: skip
    cluster["metadata"]["namespace"] = "default"  # as the server fills in
    made = _derive_autoscaling_config_from_ray_cr(cluster)
    head = made["available_node_types"]["headgroup"]["resources"]
    assert (head["CPU"], head[STEADY]) == (0, 16)
    assert place(GPU_TRIAL, Cluster(head, (), parse_autoscaler(made))).later == 4
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert cluster["spec"]["rayVersion"] == ray.__version__
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert {"name": "shared", "mountPath": "/shared"} in pod["containers"][0]["volumeMounts"]
        claims = [one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one]
        assert claims == [volume["metadata"]["name"]]
        assert pod["containers"][0]["image"] == f"hybridbatch:{__version__}"


def test_the_job_in_kubernetes_runs_on_that_cluster() -> None:
    (job,) = manifests("rayjob.yaml")
    (_, cluster) = manifests("raycluster.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert job["spec"]["entrypoint"].startswith("hybridbatch run ")
    assert json.loads(job["spec"]["entrypointResources"]).keys() == {STEADY}
    assert "RAY_JOB_STOP_WAIT_TIME_S" in yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]


def test_the_image_is_built_from_what_is_here_and_does_not_run_as_root() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split())
    assert "-c constraints.txt '.[postgresql,cluster]'" in text
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "ray"
    assert "useradd --create-home --uid 1000 ray" in text
    assert f"-t hybridbatch:{__version__} " in text


def test_what_the_documents_say_to_start_listens_on_loopback() -> None:
    text = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    (prometheus,) = re.findall(r"^prometheus .*$", text, re.MULTILINE)
    assert "--web.listen-address=127.0.0.1:9090" in prometheus
    assert "GF_SERVER_HTTP_ADDR=127.0.0.1" in text.split("grafana server")[0]
    started = [
        line
        for file in sorted(ROOT.glob("docs/**/*.md"))
        for line in re.findall(r"^(?:ray start|mlflow|optuna-dashboard|mlflow server|python -m http).*$",
                               file.read_text(encoding="utf-8"), re.MULTILINE)
    ]  # fmt: skip
    assert started == [], "whatever is started by hand says where it listens: add it here"


def test_the_stores_in_containers_keep_what_they_hold_and_listen_where_they_are_told() -> None:
    made = content(ROOT / "docker" / "compose.yaml")
    services = made["services"]
    assert services["mlflow"]["image"] == f"hybridbatch:{__version__}"
    kept = {one.split(":")[0] for service in services.values() for one in service.get("volumes", [])}
    assert kept == set(made["volumes"])
    ports = [one for service in services.values() for one in service.get("ports", [])]
    assert len(ports) == 3
    assert all(one.startswith("${STORES_HOST:-127.0.0.1}:") for one in ports)
    commands = json.dumps([[service.get("command"), service.get("entrypoint")] for service in services.values()])
    assert "PASSWORD" not in commands, "everybody on the machine sees command lines"
    assert all(name in services for service in services.values() for name in service.get("depends_on", {}))
    stores = re.search(r"^#   stores:\n((?:#     .+\n)+)", (ROOT / "docker" / "compose.yaml").read_text("utf-8"), re.M)
    assert stores is not None
    Stores.model_validate(yaml.safe_load(stores[1].replace("#", " ")))
