"""The node pulls images of a logical registry name from where it is told, over TLS, without being restarted."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from local.cluster import pki, process
from local.cluster.spec import Layout
from local.images import BuiltImage, platform_binary, push
from tests.integration.cluster.conftest import write_tools_image
from tests.integration.cluster.pods import output_of, pod

PORT = 5443


@pytest.fixture
def registry(cluster: clusters.Cluster, tmp_path: Path) -> Iterator[Path]:
    """The authority of a registry that serves on the node's address; nobody has to log in."""
    pki.write(tmp_path / "pki", "registry")
    (tmp_path / "config.yml").write_text(f"""
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {tmp_path / "data"}}}}}
http:
  addr: {clusters.NODE_ADDRESS}:{PORT}
  tls: {{certificate: {tmp_path / "pki/apiserver.crt"}, key: {tmp_path / "pki/apiserver.key"}}}
""")
    argv = cluster.inside([str(platform_binary("registry")), "serve", str(tmp_path / "config.yml")])
    with subprocess.Popen(argv, env={"PATH": "/usr/sbin:/usr/bin", "OTEL_TRACES_EXPORTER": "none"}) as server:
        try:
            _await_listening(cluster)
            yield tmp_path / "pki" / "ca.crt"
        finally:
            server.terminate()


def _await_listening(cluster: clusters.Cluster) -> None:
    deadline = time.monotonic() + 30
    while f"{clusters.NODE_ADDRESS}:{PORT}" not in cluster.run_inside(["ss", "-Htln"]):
        assert time.monotonic() < deadline, "the registry does not start"
        time.sleep(0.05)


def test_an_image_of_a_mirrored_registry_is_pulled_and_runs(  # noqa: PLR0917 - fixtures
    cluster: clusters.Cluster,
    kube: Kubernetes,
    namespace: str,
    tmp_path: Path,
    tools_spec: clusters.ClusterSpec,
    registry: Path,
) -> None:
    layout = Layout(cluster.name)
    supervisor = process.supervisor_pid(layout)
    host = "registry.example.test"
    mirror = clusters.Mirror(host, f"https://{clusters.NODE_ADDRESS}:{PORT}", registry)
    clusters.up(dataclasses.replace(tools_spec, registry_mirrors=(mirror,)))
    try:
        port = cluster.publish({"test-registry": (clusters.NODE_ADDRESS, PORT)})["test-registry"]
        # Unlike every preloaded image: what was once pulled the kubelet gives, by any name, only to who may pull it.
        digest = write_tools_image(tmp_path / "image.tar", "mirrored:1", user="65533:65533")
        push(
            BuiltImage(tmp_path / "image.tar", digest),
            f"127.0.0.1:{port}/mirrored",
            ["1"],
            username="any",
            password="any",
            ca=registry,
        )
        manifest = pod("pulled", namespace, f"{host}/mirrored@{digest}", "lookup", "localhost")
        manifest["spec"]["containers"][0]["imagePullPolicy"] = "Always"
        assert "127.0.0.1" in output_of(kube, manifest)
        assert process.supervisor_pid(layout) == supervisor
    finally:
        clusters.up(tools_spec)
    assert not (layout.certs_d / host).exists()
