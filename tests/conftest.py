"""A real cluster for the tests that need one: one a session, with a name of its own, gone at the end."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator

import pytest

from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from local.images import platform_image_names, platform_images
from tests.clusters import running


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
        pytest.skip(lacking)
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
