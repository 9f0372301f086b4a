"""One platform for all end-to-end tests, brought up by the real command on the cluster that all tests share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.kubernetes import Kubernetes
from local.cluster import Cluster
from tests.e2e.platform import Platform, slipway

_LAST = ["test_automatic_rollback.py", "test_failures.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What breaks the platform on purpose comes last: for minutes alerts tell of it, which others look at."""
    items.sort(key=lambda item: _LAST.index(item.path.name) if item.path.name in _LAST else -1)


@pytest.fixture(scope="session")
def platform(cluster: Cluster, kube: Kubernetes) -> Platform:
    """The whole platform as `slipway up` makes it; the cluster's own end takes it along."""
    env = {"SLIPWAY_CLUSTER": cluster.name}
    done = slipway("up", "--yes", env=env)
    assert done.code == 0, done.said
    config_dir = Path(json.loads(slipway("status", "--json", env=env).out)["config_dir"])
    env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(config_dir.parent / "passphrase")
    return Platform(config_dir, cluster, kube, env)
