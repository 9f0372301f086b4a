"""A program for pods (see tools/main.go) in the session's cluster, and a second cluster for tests that break it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import cluster as clusters
from local import gobuild
from local.images import oci

TOOLS = "slipway.local/test-tools:1"


@pytest.fixture(scope="session")
def tools(
    cluster: clusters.Cluster, cluster_spec: clusters.ClusterSpec, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The reference of an image with that program, brought to the running cluster by `up`."""
    built = gobuild.build(Path(__file__).parent / "tools", ["slipway.local/tools"])["tools"]
    entries = [oci.File("tools", built.read_bytes(), 0o755)]
    archive = tmp_path_factory.mktemp("tools") / "tools.tar"
    config = {"Entrypoint": ["/tools"], "User": "65532:65532"}
    oci.write_archive(archive, TOOLS, oci.layer(entries), config)
    clusters.up(dataclasses.replace(cluster_spec, images=(*cluster_spec.images, archive)))
    return TOOLS


@pytest.fixture(scope="module")
def own_cluster(
    cluster: clusters.Cluster, cluster_spec: clusters.ClusterSpec
) -> Iterator[tuple[clusters.Cluster, clusters.ClusterSpec]]:
    """A second cluster beside the session's, for one module to break; and what it was made from."""
    own = dataclasses.replace(cluster_spec, name=f"own-{os.getpid()}", images=cluster_spec.images[:1])
    try:
        yield clusters.up(own), own
    finally:
        clusters.down(own.name)
