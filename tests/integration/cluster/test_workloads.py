"""What pods find in a cluster: each other by name, storage that lasts, and a way to the host that is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import urllib.request

from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from tests.integration.cluster.pods import output_of, pod


def serve(kube: Kubernetes, namespace: str, image: str, content: str) -> str:
    """Run a web server behind a Service called `web`; returns the Service's address."""
    script = f"cd /tmp && echo {content} > index.html && exec busybox httpd -f -p 8080"
    server = pod("web", namespace, image, script)
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
    client = pod(
        "client", namespace, tools, f"busybox nslookup web.{namespace}.svc.cluster.local; busybox wget -qO- http://web"
    )
    said = output_of(kube, client)
    assert address in said
    assert "found-it" in said


def test_a_pod_reaches_itself_by_its_service(kube: Kubernetes, namespace: str, tools: str) -> None:
    script = """
cd /tmp; echo itself > index.html; busybox httpd -p 8080
for attempt in 1 2 3 4 5 6 7 8 9; do busybox wget -T 1 -qO- http://web && exit; busybox sleep 1; done
exit 1
"""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "self"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    kube.create(service)
    assert "itself" in output_of(kube, pod("self", namespace, tools, script))


def test_what_is_outside_the_cluster_is_unreachable_at_once(kube: Kubernetes, namespace: str, tools: str) -> None:
    script = "busybox nslookup example.org && exit 1; busybox wget -qO- http://192.0.2.1 2>&1 && exit 1; exit 0"
    assert "nreachable" in output_of(kube, pod("outward", namespace, tools, script))


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
    output_of(kube, pod("writer", namespace, tools, "echo kept > /data/file", volumes=volumes))
    kube.delete("v1", "Pod", "writer", namespace)
    assert output_of(kube, pod("reader", namespace, tools, "busybox cat /data/file", volumes=volumes)) == "kept\n"
    files = cluster.kubeconfig.parent.rglob("node/tmp/hostpath_pv/*/file")
    assert [file.read_text() for file in files] == ["kept\n"]


def test_a_published_service_is_reached_from_the_host_on_a_port_that_stays(
    cluster: clusters.Cluster, kube: Kubernetes, namespace: str, tools: str
) -> None:
    address = serve(kube, namespace, tools, "published")
    port = cluster.publish({"web": (address, 80)})["web"]
    # Names looked up with the environment's proxies would leave the machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        assert answer.read() == b"published\n"
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
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    with connection, contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""
