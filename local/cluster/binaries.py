"""The programs of a cluster, built from pinned Go modules and cached by version.

CoreDNS gets a `main` of ours with the few plugins a cluster needs: all of them bring every cloud's SDK, and the build
takes four times as long.
"""

from __future__ import annotations

import re
from pathlib import Path

from local import gobuild

_MODULES = Path(__file__).resolve().parent / "modules"
_KUBERNETES = [
    f"k8s.io/kubernetes/cmd/{name}"
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
]


def kubernetes_version() -> str:
    """The version of Kubernetes that is pinned, like `v1.36.3`."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (_MODULES / "kubernetes" / "go.mod").read_text(), re.MULTILINE)
    assert found, "modules/kubernetes/go.mod requires k8s.io/kubernetes"  # noqa: S101 - our own file, held by a test
    return found[1]


def build() -> dict[str, Path]:
    """Each program's path by its name, built where the cache lacks it (minutes for Kubernetes)."""
    etcd = gobuild.build(_MODULES / "etcd", ["go.etcd.io/etcd/server/v3"])
    coredns = gobuild.build(_MODULES / "coredns", ["slipway.local/coredns"])
    kubernetes = gobuild.build(_MODULES / "kubernetes", _KUBERNETES, ldflags=_version_flags())
    return {"etcd": etcd["server"], **coredns, **kubernetes}


def check() -> None:
    """Raises `MachineUnfit` where this machine could not build the largest of them, if the cache lacks it."""
    gobuild.check(_MODULES / "kubernetes", _KUBERNETES, ldflags=_version_flags())


def _version_flags() -> str:
    """Without these the API server calls itself v0.0.0-master, which clients cannot parse."""
    version = kubernetes_version()
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in values.items())
