"""A team's receiver on a real cluster: what it is declared as is valid, and it sees what it must and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from adapters.apiserver import JsonObject, KubernetesError
from adapters.kubernetes import Kubernetes
from components.reading import read_file
from components.settings import EnvironmentSettings
from delivery.serving.dispatching import Environments
from delivery.serving.situation import situation_of
from tests.e2e.platform import Platform

ACCOUNT: JsonObject = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "rollback-receiver", "namespace": "monitoring"},
}


@pytest.fixture(scope="module")
def kubeconfig(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The platform's, with the receiver's service account in the place of its administrator."""
    platform.kube.create(ACCOUNT)
    path = "/api/v1/namespaces/monitoring/serviceaccounts/rollback-receiver/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = platform.kube._server.json("POST", path, body=asked)["status"]["token"]
    config = yaml.safe_load(platform.cluster.kubeconfig.read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": token}
    file = tmp_path_factory.mktemp("receiver") / "kubeconfig"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    yield file
    platform.kube.delete("v1", "ServiceAccount", "rollback-receiver", "monitoring")


def test_it_reads_how_production_delivers(platform: Platform, kubeconfig: Path) -> None:
    settings, now = read_file(platform.stack("prod")), datetime.now(UTC)
    assert isinstance(settings, EnvironmentSettings)
    environments = Environments(
        ("test", "prod"), lambda: Kubernetes.connect(kubeconfig=str(kubeconfig), context=platform.cluster.context)
    )
    assert environments.situation("prod", now) == situation_of(settings, now)


def test_it_may_read_nothing_else_and_change_nothing(platform: Platform, kubeconfig: Path) -> None:
    with contextlib.closing(
        Kubernetes.connect(kubeconfig=str(kubeconfig), context=platform.cluster.context)
    ) as receiver:
        found = receiver.get("v1", "ConfigMap", "delivery", "prod")
        assert found is not None
        for forbidden in (
            lambda: receiver.get("v1", "ConfigMap", "hello-version", "prod"),
            lambda: receiver.list("v1", "ConfigMap", "prod"),
            lambda: receiver.list("v1", "Secret", "prod"),
            lambda: receiver.list("v1", "Pod", "monitoring"),
            lambda: receiver.patch("v1", "ConfigMap", "delivery", {"data": {}}, "prod"),
            lambda: receiver.patch("apps/v1", "Deployment", "hello", {"spec": {"replicas": 0}}, "prod"),
        ):
            with pytest.raises(KubernetesError) as refused:
                forbidden()
            assert refused.value.status == 403


def test_what_it_is_declared_as_passes_the_api_servers_validation(platform: Platform, tmp_path: Path) -> None:
    sealed = {name: {"secure": platform.crypter().encrypt(f"the-{name}-of-a-team")} for name in ("github", "alerts")}
    dispatch = {
        "image": "registry.example.com/slipway:1.0.0",
        "repository": "example/shop",
        "githubToken": sealed["github"],
    }
    with platform.edited("monitoring", alertmanager__rollback={"token": sealed["alerts"], "dispatch": dispatch}):
        platform.succeeds("render", "monitoring", "--out", str(tmp_path / "out"))
    manifests = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (tmp_path / "out").rglob("*.yaml")]
    ours = [each for each in manifests if each["metadata"]["name"].startswith("rollback-receiver")]
    assert {each["kind"] for each in ours} == {"StatefulSet", "Service", "Secret", "ServiceAccount"}
    for manifest in ours:
        assert platform.kube.apply(manifest, manager="render-test", dry_run=True)["kind"] == manifest["kind"]
