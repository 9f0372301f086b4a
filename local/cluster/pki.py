"""The cluster's keys and certificates.

Three authorities, because whoever trusts one must not take the others' word: the cluster's own (API server, kubelet
and their clients), etcd's, and that of the aggregation layer. Authorities and the two keys that sign or encrypt what
is stored are made once; certificates are made anew at each start, so that none ever expires in use.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.certificates import Authority
from local.cluster.spec import API_SERVICE_ADDRESS, DOMAIN, NODE_ADDRESS
from local.private import key_pem, save_private

CLUSTER, ETCD, FRONT_PROXY = "ca", "etcd-ca", "front-proxy-ca"
"""File names of the authorities, without their ending."""


@dataclass(frozen=True)
class Leaf:
    """A certificate to make: who it names, who signs it, and what it serves as, if it serves."""

    name: str
    authority: str
    common_name: str
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def leaves(node: str) -> tuple[Leaf, ...]:
    """Every certificate of a cluster whose only node is `node`."""
    api_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}"]
    local = ("localhost", "127.0.0.1")
    return (
        Leaf("etcd", ETCD, "etcd", hosts=local),
        Leaf("apiserver-etcd-client", ETCD, "kube-apiserver"),
        Leaf("apiserver", CLUSTER, "kube-apiserver", hosts=(*api_names, *local, NODE_ADDRESS, API_SERVICE_ADDRESS)),
        Leaf("apiserver-kubelet-client", CLUSTER, "kube-apiserver"),
        Leaf("front-proxy-client", FRONT_PROXY, "front-proxy-client"),
        Leaf("kubelet-serving", CLUSTER, f"system:node:{node}", ("system:nodes",), (node, NODE_ADDRESS)),
        Leaf("kubelet", CLUSTER, f"system:node:{node}", ("system:nodes",)),
        Leaf("controller-manager", CLUSTER, "system:kube-controller-manager"),
        Leaf("controller-manager-serving", CLUSTER, "kube-controller-manager", hosts=local),
        Leaf("scheduler", CLUSTER, "system:kube-scheduler"),
        Leaf("scheduler-serving", CLUSTER, "kube-scheduler", hosts=local),
        Leaf("proxy", CLUSTER, "system:kube-proxy"),
        Leaf("coredns", CLUSTER, "system:coredns"),
        Leaf("monitor", CLUSTER, "slipway-monitor", ("system:monitoring",)),
        Leaf("admin", CLUSTER, "slipway-admin", ("system:masters",)),
    )


def write(directory: Path, node: str) -> None:
    """Make what is missing in `directory`, and all certificates anew."""
    authorities = {name: Authority.open(directory, name) for name in (CLUSTER, ETCD, FRONT_PROXY)}
    for leaf in leaves(node):
        made = authorities[leaf.authority].issue(
            leaf.common_name,
            organizations=leaf.organizations,
            hosts=leaf.hosts,
            # etcd's server speaks to itself as a client with the same certificate, and so does its gateway.
            also_client=leaf.authority == ETCD,
        )
        save_private(directory / f"{leaf.name}.key", made.key.encode())
        save_private(directory / f"{leaf.name}.crt", made.certificate.encode())
    _service_account_key(directory)
    _encryption(directory / "encryption.yaml")


def _service_account_key(directory: Path) -> None:
    """Signs the tokens of service accounts; kept, or every token in use would become invalid."""
    private, public = directory / "service-account.key", directory / "service-account.pub"
    if public.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    save_private(private, key_pem(key).encode())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    save_private(public, key.public_key().public_bytes(serialization.Encoding.PEM, form))


def _encryption(file: Path) -> None:
    """How the API server writes Secrets to etcd; kept, or they could not be read again."""
    if file.exists():
        return
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    text = f"""apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox: {{keys: [{{name: key1, secret: {key}}}]}}
      - identity: {{}}
"""
    save_private(file, text.encode())
