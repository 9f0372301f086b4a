"""Who a cluster lets in: nobody without credentials, and those with credentials only as far as their rights go."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import httpx2
import pytest

from adapters.kubeconfig import open_client
from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from local.cluster.spec import Layout

KUBELET = f"https://{clusters.NODE_ADDRESS}:10250"


def context_of(cluster: clusters.Cluster, client: str | None) -> ssl.SSLContext:
    pki = Layout(cluster.name).pki
    context = ssl.create_default_context(cafile=pki / "ca.crt")
    if client:
        context.load_cert_chain(pki / f"{client}.crt", pki / f"{client}.key")
    return context


def answer_of_kubelet(cluster: clusters.Cluster, path: str, client: str | None) -> int:
    """The status code of the kubelet's answer to a request from inside the cluster's network."""
    pki = Layout(cluster.name).pki
    script = """
import ssl, sys, urllib.request, urllib.error
url, ca, client = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if client:
    context.load_cert_chain(client + ".crt", client + ".key")
try:
    print(urllib.request.urlopen(url, context=context, timeout=20).status)
except urllib.error.HTTPError as refused:
    print(refused.code)
"""
    arguments = [f"{KUBELET}{path}", str(pki / "ca.crt"), str(pki / client) if client else ""]
    return int(cluster.run_inside([sys.executable, "-c", script, *arguments], timeout_s=60))


@pytest.mark.parametrize("path", ["/version", "/readyz", "/api/v1/namespaces"])
def test_the_api_server_answers_nobody_without_credentials(cluster: clusters.Cluster, path: str) -> None:
    _, target = open_client(str(cluster.kubeconfig), cluster.context)
    assert target.server.startswith("https://127.0.0.1:")
    with httpx2.Client(verify=context_of(cluster, None), trust_env=False) as nobody:
        assert nobody.get(target.server + path).status_code == 401


def test_a_component_may_do_only_what_its_role_says(cluster: clusters.Cluster) -> None:
    _, target = open_client(str(cluster.kubeconfig), cluster.context)
    with httpx2.Client(verify=context_of(cluster, "proxy"), trust_env=False) as proxy:
        assert proxy.get(f"{target.server}/api/v1/services").status_code == 200
        assert proxy.get(f"{target.server}/api/v1/secrets").status_code == 403
    with httpx2.Client(verify=context_of(cluster, "kubelet"), trust_env=False) as kubelet:
        other = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "another"}}
        assert kubelet.post(f"{target.server}/api/v1/nodes", json=other).status_code == 403


def test_the_kubelet_asks_for_credentials_and_then_for_rights(cluster: clusters.Cluster) -> None:
    assert answer_of_kubelet(cluster, "/pods", client=None) == 401
    assert answer_of_kubelet(cluster, "/pods", client="coredns") == 403
    assert answer_of_kubelet(cluster, "/pods", client="admin") == 200


def test_secrets_are_not_readable_in_the_database(cluster: clusters.Cluster, kube: Kubernetes, namespace: str) -> None:
    metadata = {"name": "s", "namespace": namespace, "annotations": {"note": "annotation-of-the-secret"}}
    kube.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"k": "hush-hush-hush"}})
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "plain-plain-plain"}})
    files = [file for file in (Layout(cluster.name).node / "var-lib" / "etcd").rglob("*") if file.is_file()]
    stored = b"".join(file.read_bytes() for file in files)
    assert b"plain-plain-plain" in stored
    assert b"hush-hush-hush" not in stored


def test_credentials_are_readable_by_their_owner_alone(cluster: clusters.Cluster) -> None:
    layout = Layout(cluster.name)
    private = [layout.kubeconfig, *layout.pki.iterdir()]
    assert {file.name: oct(file.stat().st_mode & 0o077) for file in private} == {file.name: "0o0" for file in private}
    assert layout.directory.stat().st_mode & 0o077 == 0


def test_no_secret_is_in_an_argument_or_an_environment_variable_of_a_component(cluster: clusters.Cluster) -> None:
    status = clusters.status(cluster.name)
    secret = (Layout(cluster.name).pki / "ca.key").read_text().splitlines()[1]
    for component in status.components.values():
        for file in ("cmdline", "environ"):
            text = Path(f"/proc/{component.pid}/{file}").read_text()
            assert secret not in text
            assert "PASSPHRASE" not in text
