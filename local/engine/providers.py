"""The providers a program declares: which cluster each of them means, and which registry credentials.

There are no default providers: whatever context happens to be current is never what a stack should change.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.errors import BadInput
from adapters.kubernetes import Kubernetes
from adapters.registry import RegistryClient, parse_reference
from local.engine.model import Connection
from local.engine.project import Stack
from local.engine.types import DOCKER_PROVIDER, KUBERNETES_PROVIDER
from local.engine.values import UNKNOWN, Tree, has_unknown, reveal

_KUBERNETES_ARGUMENTS = {
    "kubeconfig",
    "context",
    "clusterIdentifier",
    "namespace",
    "enableConfigMapMutable",
    "enableSecretMutable",
    "enableServerSideApply",  # the only way here
    "upsertExistingObjects",  # likewise
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
}
_DOCKER_ARGUMENTS = {"registryAuth", "caMaterial", "host"}
_IGNORED = {"version", "pluginDownloadURL", "disableDockerDaemonCheck"}  # no daemon is ever asked here


@dataclass(frozen=True)
class KubernetesProvider:
    """A cluster: its identifier, how to reach it, and the namespace of objects that name none."""

    cluster: str
    connection: Connection
    namespace: str
    mutable: Mapping[str, bool]


@dataclass(frozen=True)
class Credentials:
    """Whom a registry knows us as."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Registries:
    """A Docker provider: credentials by address, and the authority of the registries' certificates as PEM text."""

    credentials: Mapping[str, Credentials]
    ca: str | None


class Clients:
    """A Kubernetes client for each connection, opened when first needed; safe from any thread."""

    def __init__(self) -> None:
        self._clients: dict[Connection, Kubernetes] = {}
        self._lock = threading.Lock()

    def of(self, connection: Connection) -> Kubernetes:
        """Raises `Unreachable`, and `BadInput` for an unknown context."""
        with self._lock:
            if connection not in self._clients:
                self._clients[connection] = Kubernetes.connect(
                    kubeconfig=connection.kubeconfig, context=connection.context
                )
            return self._clients[connection]

    def opened(self, connection: Connection) -> Kubernetes | None:
        """That of a connection which was needed before; None where nobody knows whether it leads anywhere."""
        with self._lock:
            return self._clients.get(connection)


class Providers:
    """The providers of one run of the program, by the reference that resources give: `URN::id`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._kubernetes: dict[str, KubernetesProvider] = {}
        self._registries: dict[str, Registries] = {}

    def add(self, urn: str, type_: str, arguments: Mapping[str, Tree]) -> str:
        """Take in a provider and return its id; raises `BadInput` for what the engine cannot honour."""
        given = {name: reveal(value) for name, value in arguments.items() if value is not None and name not in _IGNORED}
        if type_ == KUBERNETES_PROVIDER:
            _check_arguments(urn, given, _KUBERNETES_ARGUMENTS)
            provider = self._kubernetes[urn] = self._kubernetes_provider(urn, given)
            return provider.cluster
        if type_ == DOCKER_PROVIDER:
            _check_arguments(urn, given, _DOCKER_ARGUMENTS)
            self._registries[urn] = Registries(_credentials(given.get("registryAuth")), given.get("caMaterial"))
            return "docker"
        raise BadInput(
            "the local engine has no such provider",
            where=type_,
            allowed=f"{KUBERNETES_PROVIDER}, {DOCKER_PROVIDER}",
            fix="Take the Pulumi CLI for this stack",
        )

    def kubernetes(self, reference: str, where: str) -> KubernetesProvider:
        """The provider a resource refers to; raises `BadInput` if it refers to none."""
        if provider := self._kubernetes.get(_urn_of(reference)):
            return provider
        raise BadInput(
            "the resource names no provider, so it would land in whatever context is current",
            where=where,
            fix="Give it, or the component it belongs to, an explicit pulumi_kubernetes.Provider",
        )

    def digest(self, reference: str, image: str) -> str | None:
        """The digest of an image in its registry, `sha256:…`, None if it is not there."""
        if (known := self._registries.get(_urn_of(reference))) is None:
            raise BadInput(
                "the lookup names no provider",
                where=f"getRegistryImage {image}",
                fix="Give it a pulumi_docker.Provider",
            )
        parsed = parse_reference(image)
        address, _, repository = parsed.name.partition("/")
        whom = known.credentials.get(address, Credentials())
        with RegistryClient(address, username=whom.username, password=whom.password, ca=known.ca) as client:
            return client.digest_of(repository, parsed.digest or parsed.tag or "latest")

    def _kubernetes_provider(self, urn: str, given: Mapping[str, Any]) -> KubernetesProvider:
        needed = {name: given[name] for name in ("kubeconfig", "context", "clusterIdentifier") if name in given}
        if has_unknown(needed):
            raise BadInput("the provider's cluster is not known before the update", where=urn)
        kubeconfig, context = given.get("kubeconfig"), given.get("context")
        connection = Connection(kubeconfig and self._stack.locate(kubeconfig), context)
        mutable = {
            "ConfigMap": _flag(given.get("enableConfigMapMutable")),
            "Secret": _flag(given.get("enableSecretMutable")),
        }
        cluster = given.get("clusterIdentifier") or context
        if not cluster:
            raise BadInput("the provider names neither a context nor a cluster_identifier", where=urn)
        return KubernetesProvider(cluster, connection, given.get("namespace") or "default", mutable)


def _urn_of(reference: str) -> str:
    return reference.rpartition("::")[0]


def _flag(value: object) -> bool:
    return value in (True, "true")


def _check_arguments(urn: str, given: Mapping[str, object], allowed: set[str]) -> None:
    if unknown := sorted(set(given) - allowed):
        raise BadInput(
            f"the local engine does not honour the provider argument {', '.join(unknown)}",
            where=urn,
            allowed=", ".join(sorted(allowed)),
        )
    if given.get("enableServerSideApply") in (False, "false"):
        raise BadInput("the local engine knows only server-side apply", where=f"{urn}, enableServerSideApply")


def _credentials(auth: object) -> dict[str, Credentials]:
    """`registryAuth`, which the SDK sends as JSON text, by address."""
    entries = json.loads(auth) if isinstance(auth, str) else auth
    if not isinstance(entries, list):
        return {}
    return {
        str(entry["address"]): Credentials(entry.get("username"), entry.get("password"))
        for entry in entries
        if isinstance(entry, dict) and UNKNOWN not in entry.values()
    }
