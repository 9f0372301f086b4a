"""The programs of a cluster and how each is started, found ready, and in which order.

CoreDNS runs as a program of the node and not as pods: it needs no image, is there before the first pod asks, and the
supervisor restarts it. Pods still reach it as everywhere, through the Service `kube-dns` (see `addons`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.cluster.spec import (
    API_PORT,
    CONTAINERD_SOCKET,
    NODE_ADDRESS,
    SERVICE_NETWORK,
    Layout,
)

_ETCD = "https://127.0.0.1:2379"


@dataclass(frozen=True)
class Component:
    """A program the supervisor keeps running.

    `probe` says when it is ready: `tcp:host:port`, `unix:path` or a URL that answers 200. It is started once
    everything in `after` is ready; a name with a slash is a file that must exist.
    """

    name: str
    argv: tuple[str, ...]
    probe: str
    after: tuple[str, ...] = ()
    needs_host_network: bool = False


def components(layout: Layout, binaries: Mapping[str, Path], python: tuple[str, ...]) -> tuple[Component, ...]:
    """Every component of a cluster; `python` runs a module of this repository."""
    config, pki = layout.config, layout.pki
    return (
        Component(
            "forwarder",
            (*python, "local.cluster.forwarder", layout.name),
            f"unix:{forwarder_socket()}",
            needs_host_network=True,
        ),
        Component("etcd", (str(binaries["etcd"]), *_etcd(pki)), "tcp:127.0.0.1:2379"),
        Component(
            "kube-apiserver",
            (str(binaries["kube-apiserver"]), *_apiserver(pki)),
            f"https://{NODE_ADDRESS}:{API_PORT}/readyz",
            after=("etcd",),
        ),
        Component(
            "kube-controller-manager",
            (str(binaries["kube-controller-manager"]), *_controller_manager(config, pki)),
            "tcp:127.0.0.1:10257",
            after=("kube-apiserver",),
        ),
        Component(
            "kube-scheduler",
            (str(binaries["kube-scheduler"]), *_scheduler(config, pki)),
            "tcp:127.0.0.1:10259",
            after=("kube-apiserver",),
        ),
        Component("containerd", ("containerd", f"--config={config / 'containerd.toml'}"), f"unix:{CONTAINERD_SOCKET}"),
        Component(
            "kubelet",
            (
                str(binaries["kubelet"]),
                f"--config={config / 'kubelet.yaml'}",
                f"--kubeconfig={config / 'kubelet.kubeconfig'}",
                f"--hostname-override={layout.context}",
                f"--node-ip={NODE_ADDRESS}",
            ),
            "http://127.0.0.1:10248/healthz",
            after=("kube-apiserver", "containerd", str(layout.images_ready)),
        ),
        Component(
            "kube-proxy",
            (str(binaries["kube-proxy"]), f"--config={config / 'kube-proxy.yaml'}"),
            "http://127.0.0.1:10256/healthz",
            after=("kube-apiserver",),
        ),
        Component(
            "coredns",
            (str(binaries["coredns"]), f"-conf={config / 'Corefile'}"),
            "http://127.0.0.1:8181/ready",
            after=("kube-apiserver",),
        ),
    )


def forwarder_socket() -> Path:
    """Where the forwarder takes orders, as seen inside the cluster."""
    return CONTAINERD_SOCKET.with_name("forwarder.sock")


def _etcd(pki: Path) -> list[str]:
    own = {"cert-file": pki / "etcd.crt", "key-file": pki / "etcd.key", "trusted-ca-file": pki / "etcd-ca.crt"}
    return _flags(
        {
            "name": "node",
            "data-dir": "/var/lib/etcd",
            "listen-client-urls": _ETCD,
            "advertise-client-urls": _ETCD,
            "listen-peer-urls": "https://127.0.0.1:2380",
            "initial-advertise-peer-urls": "https://127.0.0.1:2380",
            "initial-cluster": "node=https://127.0.0.1:2380",
            **own,
            "client-cert-auth": "true",
            **{f"peer-{key}": value for key, value in own.items()},
            "peer-client-cert-auth": "true",
            "auto-compaction-mode": "periodic",
            "auto-compaction-retention": "1h",
            "log-level": "warn",
        }
    )


def _apiserver(pki: Path) -> list[str]:
    return _flags(
        {
            "advertise-address": NODE_ADDRESS,
            "bind-address": NODE_ADDRESS,
            "secure-port": API_PORT,
            "service-cluster-ip-range": SERVICE_NETWORK,
            "anonymous-auth": "false",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "profiling": "false",
            "encryption-provider-config": pki / "encryption.yaml",
            "client-ca-file": pki / "ca.crt",
            "tls-cert-file": pki / "apiserver.crt",
            "tls-private-key-file": pki / "apiserver.key",
            "etcd-servers": _ETCD,
            "etcd-cafile": pki / "etcd-ca.crt",
            "etcd-certfile": pki / "apiserver-etcd-client.crt",
            "etcd-keyfile": pki / "apiserver-etcd-client.key",
            "kubelet-certificate-authority": pki / "ca.crt",
            "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
            "kubelet-client-key": pki / "apiserver-kubelet-client.key",
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-signing-key-file": pki / "service-account.key",
            "service-account-key-file": pki / "service-account.pub",
            "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": pki / "front-proxy-client.crt",
            "proxy-client-key-file": pki / "front-proxy-client.key",
        }
    )


def _controller_manager(config: Path, pki: Path) -> list[str]:
    return _flags(
        {
            **_delegating(config / "controller-manager.kubeconfig", pki / "controller-manager-serving", 10257),
            "service-account-private-key-file": pki / "service-account.key",
            "use-service-account-credentials": "true",
            "root-ca-file": pki / "ca.crt",
            "cluster-signing-cert-file": pki / "ca.crt",
            "cluster-signing-key-file": pki / "ca.key",
            "enable-hostpath-provisioner": "true",
            # Each controller asks for a token of its own when it starts; 20 requests a second made that take 5 s.
            "kube-api-qps": 500,
            "kube-api-burst": 500,
            # How soon a node that became ready loses the taint that keeps pods away; the default is 5 s.
            "node-monitor-period": "500ms",
        }
    )


def _scheduler(config: Path, pki: Path) -> list[str]:
    return _flags(_delegating(config / "scheduler.kubeconfig", pki / "scheduler-serving", 10259))


def _delegating(kubeconfig: Path, serving: Path, port: int) -> dict[str, object]:
    """How a component serves its own port: whoever asks is checked by the API server."""
    return {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "tls-cert-file": f"{serving}.crt",
        "tls-private-key-file": f"{serving}.key",
        "leader-elect": "false",
        "profiling": "false",
    }


def _flags(values: Mapping[str, object]) -> list[str]:
    return [f"--{key}={value}" for key, value in values.items()]
