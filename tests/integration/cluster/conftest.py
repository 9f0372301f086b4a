"""A tool box for pods (a static busybox) in the session's cluster, and a second cluster for tests that break it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import apt
from local import cluster as clusters
from local.images import oci

TOOLS = "slipway.local/test-tools:1"


@pytest.fixture(scope="session")
def tools(
    cluster: clusters.Cluster, cluster_spec: clusters.ClusterSpec, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The reference of an image with a shell, brought to the running cluster by `up`."""
    apt.ensure("busybox-static")
    entries = [oci.File("bin/busybox", Path("/bin/busybox").read_bytes(), 0o755), oci.Directory("tmp", 0o1777)]
    archive = tmp_path_factory.mktemp("tools") / "tools.tar"
    config = {"Entrypoint": ["/bin/busybox", "sh", "-c"], "Env": ["PATH=/bin"], "User": "65532:65532"}
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
