"""What a cluster is made from, where its parts lie on disk, and the addresses that are the same in every cluster.

Every cluster has a network namespace to itself, so the addresses can be constants: two clusters do not see each other.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import BadInput
from adapters.paths import state_dir

NODE_ADDRESS = "10.90.0.2"
"""The node's address inside the cluster's network namespace."""

NODE_NETWORK = f"{NODE_ADDRESS}/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
POD_NETWORK = "10.244.0.0/16"
API_PORT = 6443
DOMAIN = "cluster.local"

RUNTIME = Path("/run/slipway")
"""Sockets; on a tmpfs that only the cluster sees, since the paths of sockets must be short."""

CONTAINERD_SOCKET = RUNTIME / "containerd.sock"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Mirror:
    """Where the node finds the images whose names begin with `host`, and the authority of that server's certificate."""

    host: str
    endpoint: str
    ca: Path


@dataclass(frozen=True, kw_only=True)
class ClusterSpec:
    """A cluster to bring up. `pause` is the reference of the sandbox image; `images` are OCI archives to preload."""

    name: str = "local"
    pause: str
    images: tuple[Path, ...] = ()
    registry_mirrors: tuple[Mirror, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Where the files of one cluster are. All of it is readable by its owner alone."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadInput(
                f"a cluster cannot be named {self.name!r}",
                allowed="up to 32 lower-case letters, digits and hyphens, with a letter or digit at both ends",
            )

    @property
    def directory(self) -> Path:
        """The state directory of the cluster."""
        return state_dir() / "clusters" / self.name

    @property
    def guard(self) -> Path:
        """Held by whoever brings the cluster up or down."""
        return self.directory.with_name(f".{self.name}.lock")

    @property
    def context(self) -> str:
        """The name of its kubeconfig context, of its node, and its identifier."""
        return f"slipway-{self.name}"

    @property
    def cgroup(self) -> str:
        """The cgroup its pods are in. Names are unique in a state directory only, so that is part of it."""
        return f"{self.context}-{hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's credentials."""
        return self.directory / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.directory / "pki"

    @property
    def config(self) -> Path:
        """What the components are started with."""
        return self.directory / "config"

    @property
    def node(self) -> Path:
        """What lies below /var and /tmp in the node's eyes, volumes included."""
        return self.directory / "node"

    @property
    def logs(self) -> Path:
        """One file a component."""
        return self.directory / "logs"

    @property
    def certs_d(self) -> Path:
        """containerd's registry hosts; read at each pull."""
        return self.config / "certs.d"

    @property
    def supervisor_lock(self) -> Path:
        """Locked by the supervisor as long as it lives."""
        return self.directory / "supervisor.lock"

    @property
    def status(self) -> Path:
        """What the supervisor says of its components."""
        return self.directory / "status.json"

    @property
    def forwards(self) -> Path:
        """The ports given out on 127.0.0.1."""
        return self.directory / "forwards.json"

    @property
    def plan(self) -> Path:
        """What the running supervisor was started with."""
        return self.directory / "plan.json"

    @property
    def images_ready(self) -> Path:
        """Exists once the node may start pods."""
        return self.directory / "images-ready"
