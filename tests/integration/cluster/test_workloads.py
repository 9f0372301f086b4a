"""What pods find in a cluster: each other by name, storage that lasts, and a way to the host that is asked for."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time

import httpx2
import pytest

from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from local.cluster.spec import Layout
from tests.integration.cluster.pods import await_phase, output_of, pod


def serve(kube: Kubernetes, namespace: str, image: str, content: str) -> str:
    """Run a web server behind a Service called `web`; returns the Service's address."""
    server = pod("web", namespace, image, "serve", "8080", content)
    server["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    kube.create(server)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    address = kube.create(service)["spec"]["clusterIP"]
    for _, slices in kube.watch("discovery.k8s.io/v1", "EndpointSlice", namespace, timeout_s=60):
        if any(endpoint["conditions"].get("ready") for endpoint in slices.get("endpoints") or []):
            return str(address)
    raise AssertionError("the web server does not become ready")


def test_a_pod_finds_a_service_by_name_and_reaches_it(kube: Kubernetes, namespace: str, tools: str) -> None:
    address = serve(kube, namespace, tools, "found-it")
    assert output_of(kube, pod("client", namespace, tools, "get", "http://web")) == "found-it\n"
    names = ("web", f"web.{namespace}", f"web.{namespace}.svc.cluster.local")
    assert output_of(kube, pod("lookup", namespace, tools, "lookup", *names)) == f"[{address}]\n" * 3


def test_a_pod_reaches_itself_by_its_service(kube: Kubernetes, namespace: str, tools: str) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "self"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    kube.create(service)
    assert output_of(kube, pod("self", namespace, tools, "get-itself", "http://web")) == "itself\n"


def test_what_is_outside_the_cluster_is_unreachable_and_not_just_silent(
    kube: Kubernetes, namespace: str, tools: str
) -> None:
    kube.create(pod("outward", namespace, tools, "get", "http://192.0.2.1", "once"))
    assert await_phase(kube, "outward", namespace, "Failed", "Succeeded") == "Failed"
    assert "no route to host" in kube.logs(namespace, "outward")


def test_a_claim_is_bound_and_keeps_what_one_pod_wrote_for_the_next(
    cluster: clusters.Cluster, kube: Kubernetes, namespace: str, tools: str
) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    kube.create(claim)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    output_of(kube, pod("writer", namespace, tools, "write", "/data/file", "kept", volumes=volumes))
    kube.delete("v1", "Pod", "writer", namespace)
    assert output_of(kube, pod("reader", namespace, tools, "read", "/data/file", volumes=volumes)) == "kept"
    # Straight to where volumes lie: a walk through the node's files meets pods that are just being removed.
    files = Layout(cluster.name).node.glob("tmp/hostpath_pv/*/file")
    assert [file.read_text() for file in files] == ["kept"]


def answer_at(port: int) -> str:
    """What a web server says, once kube-proxy knows its Service."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with httpx2.Client(trust_env=False) as client:
                return client.get(f"http://127.0.0.1:{port}/").text
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "nothing answers"
            time.sleep(0.1)


def test_a_published_service_is_reached_from_the_host_on_a_port_that_stays(
    cluster: clusters.Cluster, kube: Kubernetes, namespace: str, tools: str
) -> None:
    address = serve(kube, namespace, tools, "published")
    port = cluster.publish({"web": (address, 80)})["web"]
    assert answer_at(port) == "published\n"
    assert cluster.publish({"web": (address, 80), "again": (address, 80)})["web"] == port


def test_a_forward_carries_everything_both_ways_and_passes_the_end_on(cluster: clusters.Cluster) -> None:
    """The server answers only once it has read to the end, so an end that is not passed on hangs."""
    server = """
import hashlib, socket
with socket.create_server(("10.90.0.2", 9999)) as listening:
    print("listening", flush=True)
    connection, _ = listening.accept()
    with connection:
        received = hashlib.sha256()
        while data := connection.recv(65536):
            received.update(data)
        connection.sendall(received.hexdigest().encode() + b"x" * 20_000_000)
"""
    with subprocess.Popen(cluster.inside([sys.executable, "-c", server]), stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        port = cluster.publish({"sink": (clusters.NODE_ADDRESS, 9999)})["sink"]
        sent = os.urandom(20_000_000)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            sender = threading.Thread(target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR)))
            sender.start()
            received = b"".join(iter(lambda: connection.recv(1 << 20), b""))
            sender.join()
        process.wait(timeout=30)
    assert received[:64].decode() == hashlib.sha256(sent).hexdigest()
    assert len(received) == 64 + 20_000_000


def test_a_forward_to_nobody_breaks_the_connection(cluster: clusters.Cluster) -> None:
    port = cluster.publish({"nobody": (clusters.NODE_ADDRESS, 9)})["nobody"]
    # The reset may come before the connection is reported as made.
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.recv(1)
