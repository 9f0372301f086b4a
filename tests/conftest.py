"""A real cluster for the tests that need one: one a session, with a name of its own, gone at the end.

What the tests stand on is built before the first of them begins: on a machine with an empty cache that takes many
minutes, which no test's time limit should have to allow for.

`make test` runs them in two processes, since those of a whole platform mostly wait. Each of them has one cluster.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from adapters.errors import SlipwayError
from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from local import scan
from local.cluster import binaries
from local.images import monitoring_images, platform_image_names, platform_images
from local.platform import services
from tests.clusters import running

_SCANNERS = (scan.grype, scan.syft, scan.pip_audit)
_BUILDS: Mapping[str, Sequence[Callable[[], object]]] = {
    "cluster_spec": (platform_images, binaries.build),
    "platform": (services.build_all, monitoring_images, *_SCANNERS),
    "promtool": (monitoring_images,),
    "databases": _SCANNERS,
}
"""What has to be built for the tests that use a fixture."""


class _Scheduling(LoadScopeScheduling):
    """Gives a process all tests of a file; end-to-end tests in two parts of equal length, each with a platform."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        return f"e2e {path.name < 'test_r'}" if path.match("tests/e2e/*") else str(path)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist may be switched off
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Scheduling | None:
    """By what is shared, where `--dist=loadscope` is given."""
    return _Scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build it; what cannot be built is told by the tests that need it."""
    if session.config.option.collectonly or _lacking():
        return
    wanted = {name for item in session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    for build in dict.fromkeys(build for name, builds in _BUILDS.items() if name in wanted for build in builds):
        with contextlib.suppress(SlipwayError):
            build()


def _lacking() -> str:
    """Why no cluster can run here; empty if one can."""
    if os.geteuid() != 0:
        return "a local cluster needs root"
    if shutil.which("go") is None:
        return "a local cluster is built with Go, which is not installed"
    if shutil.which("apt-get") is None:
        return "a local cluster needs Debian packages, and there is no apt-get"
    return ""


@pytest.fixture(scope="session")
def cluster_spec() -> clusters.ClusterSpec:
    """What the session's cluster is made from; its name is unique to this process."""
    if lacking := _lacking():
        (pytest.fail if os.environ.get("SLIPWAY_REQUIRE_CLUSTER") else pytest.skip)(lacking)
    return clusters.ClusterSpec(
        name=f"test-{os.getpid()}", pause=platform_image_names()["pause"], images=tuple(platform_images())
    )


@pytest.fixture(scope="session")
def cluster(cluster_spec: clusters.ClusterSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Cluster]:
    """The session's cluster. A test that ends parts of it takes one of its own instead."""
    with running(cluster_spec, tmp_path_factory.mktemp("state")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kube(cluster: clusters.Cluster) -> Iterator[Kubernetes]:
    """A client of the session's cluster, as an administrator."""
    client = Kubernetes.connect(kubeconfig=str(cluster.kubeconfig), context=cluster.context)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def namespace(kube: Kubernetes) -> Iterator[str]:
    """The name of a namespace that only this test uses; its deletion is not waited for."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        kube.delete("v1", "Namespace", name)
