"""A program for pods (see tools/main.go) in the session's cluster, and a second cluster for tests that break it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from local import cluster as clusters
from local import gobuild
from local.images import oci

TOOLS = "slipway.local/test-tools:1"


@pytest.fixture(scope="session")
def tools_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of an image with that program."""
    archive = tmp_path_factory.mktemp("tools") / "tools.tar"
    write_tools_image(archive, TOOLS, user="65532:65532")
    return archive


def write_tools_image(archive: Path, reference: str, *, user: str) -> str:
    """Write an image with that program; returns its digest."""
    built = gobuild.build(Path(__file__).parent / "tools", ["slipway.local/tools"])["tools"]
    content = oci.layer([oci.File("tools", built.read_bytes(), 0o755)])
    return oci.write_archive(archive, reference, content, {"Entrypoint": ["/tools"], "User": user})


@pytest.fixture(scope="session")
def tools_spec(cluster_spec: clusters.ClusterSpec, tools_archive: Path) -> clusters.ClusterSpec:
    """The session's cluster with that image."""
    return dataclasses.replace(cluster_spec, images=(*cluster_spec.images, tools_archive))


@pytest.fixture(scope="session")
def tools(cluster: clusters.Cluster, tools_spec: clusters.ClusterSpec) -> str:
    """The reference of that image, brought to the running cluster by `up`."""
    clusters.up(tools_spec)
    return TOOLS
