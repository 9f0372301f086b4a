"""Finds a context in a kubeconfig and opens an authenticated HTTP client on its API server.

Reading and authentication (client certificates, tokens, exec plugins) are lightkube's; here its failures become
sentences, and its exec plugins learn the present version of their protocol.
"""

from __future__ import annotations

import ipaddress
import json
import os
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import msgspec
import yaml
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User, UserExec
from lightkube.core.exceptions import ConfigError

from adapters.command import CommandFailed, run
from adapters.errors import BadInput

CONNECTIONS = 64
"""As many requests at a time as the engine has threads."""
IDLE_S = 30.0
"""How long a connection is kept that nobody uses: pods mostly get ready in less."""

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_CONNECT_S = 10.0
_READ_S = 70.0  # the API server gives up a request after 60 s by itself and says why; hear it out


@dataclass(frozen=True)
class Target:
    """An API server: the context that names it and its URL."""

    context: str
    server: str


Place = tuple[object, ...]
"""What tells what can be connected to from anything else."""


def place_of(kubeconfig: str | None, context: str | None) -> Place | None:
    """What the same arguments of `open_client` mean as long as nobody writes the kubeconfig; None where that is open.

    No two processes have one in common: what was connected before a fork is the parent's.
    """
    if kubeconfig is None:
        return None
    if "\n" in kubeconfig:
        return os.getpid(), kubeconfig, context
    try:
        status = Path(kubeconfig).stat()
    except OSError:  # several files, or none
        return None
    return os.getpid(), kubeconfig, status.st_ino, status.st_mtime_ns, context


def open_client(kubeconfig: str | None, context: str | None) -> tuple[httpx2.Client, Target]:
    """A client for `context` (the current one if None) of `kubeconfig`.

    `kubeconfig` is a path or the text of one; None means `KUBECONFIG` or `~/.kube/config`, and in a pod without either
    its service account. Nothing is sent yet.
    Raises `BadInput` for a file that is missing or no kubeconfig, and for an unknown context, listing the valid ones.
    """
    config = _select(_load(kubeconfig), context)
    parameters = client_adapter.ConnectionParams(
        timeout=httpx2.Timeout(_READ_S, connect=_CONNECT_S, pool=None),
        trust_env=not _is_loopback(config.cluster.server),  # like Go's clients: no proxy for this machine's addresses
    )
    try:
        settings = parameters.httpx_params(config)
    except (ConfigError, OSError, ssl.SSLError, ValueError, TypeError) as error:  # TypeError: a key is missing
        raise BadInput(
            f"the credentials of context {config.context_name!r} cannot be used: {error}",
            where=str(config.fname or "kubeconfig"),
        ) from None
    if config.user and config.user.exec is not None:
        settings["auth"] = _ExecAuth(config.user.exec, config.fname.parent if config.fname else Path())
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS, keepalive_expiry=IDLE_S)
    return httpx2.Client(**settings, limits=limits), Target(config.context_name, config.cluster.server)


def _load(kubeconfig: str | None) -> list[KubeConfig]:
    if kubeconfig is not None and "\n" in kubeconfig:
        return [_parse(kubeconfig, None)]
    names = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(name).expanduser() for name in names.split(os.pathsep) if name]
    found = [path for path in paths if path.is_file()]
    if not found and not kubeconfig and (own := _service_account()):
        return [own]
    if not found:
        raise BadInput(
            "there is no such kubeconfig",
            where=names,
            fix="Name an existing file, or start the local cluster with `slipway cluster up`",
        )
    try:
        return [_parse(path.read_text(encoding="utf-8"), path) for path in found]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the kubeconfig cannot be read: {error}", where=names) from None


def _service_account() -> KubeConfig | None:
    """Who a pod is, None outside of one. Its token is replaced each hour, so that no client should live longer."""
    try:
        return KubeConfig.from_service_account(_SERVICE_ACCOUNT)
    except (ConfigError, KeyError):
        return None


def _parse(text: str, path: Path | None) -> KubeConfig:
    try:
        given = {key: value for key, value in (yaml.load(text, yaml.CSafeLoader) or {}).items() if value is not None}
        # kubectl leaves `contexts: null` behind when the last one is deleted.
        return KubeConfig.from_dict({"clusters": [], "contexts": []} | given, fname=path)
    except (yaml.YAMLError, msgspec.ValidationError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"this is not a kubeconfig: {error}", where=str(path or "kubeconfig")) from None


def _select(configs: list[KubeConfig], context: str | None) -> SingleConfig:
    """The first file that has the context wins, as with kubectl."""
    wanted = context or next((c.current_context for c in configs if c.current_context), None)
    for config in configs:
        if wanted in config.contexts:
            return _resolve(config, wanted)
    raise BadInput(
        f"there is no context {wanted!r}" if wanted else "no context is given and none is current",
        where=os.pathsep.join(str(c.fname or "kubeconfig") for c in configs),
        allowed=", ".join(sorted({name for c in configs for name in c.contexts})) or "none, the file has no contexts",
    )


def _resolve(config: KubeConfig, context: str) -> SingleConfig:
    try:
        single = config.get(context)
    except KeyError as missing:
        raise BadInput(
            f"context {context!r} names {missing}, which is not there", where=str(config.fname or "kubeconfig")
        ) from None
    if single is None:
        raise AssertionError("lightkube answers None only without a context")
    return single._replace(user=_with_token(single))


def _with_token(config: SingleConfig) -> User:
    """The user with the path of its token made absolute, which lightkube would look for in the current directory."""
    user = config.user or User()
    if user.token_file is None:
        return user
    path = Path(config.abs_file(user.token_file))
    if not path.is_file():
        raise BadInput(f"there is no token file {path}", where=str(config.fname or "kubeconfig"))
    return msgspec.structs.replace(user, token_file=str(path))


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _ExecAuth(httpx2.Auth):
    """A bearer token from an exec plugin, kept until the server refuses it; one call of the plugin at a time.

    lightkube has one too, which stops at the protocol's v1beta1 and does not tell the plugin what it is asked for
    (client.authentication.k8s.io/v1: `KUBERNETES_EXEC_INFO` is required).
    """

    def __init__(self, plugin: UserExec, directory: Path) -> None:
        self._plugin, self._directory = plugin, directory
        self._lock = threading.Lock()
        self._token: str | None = None

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        token = self._current(refused=None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {self._current(refused=token)}"
            yield request

    def _current(self, refused: str | None) -> str:
        with self._lock:
            if self._token is None or self._token == refused:
                self._token = self._ask()
            return self._token

    def _ask(self) -> str:
        plugin = self._plugin
        info = {"apiVersion": plugin.apiVersion, "kind": "ExecCredential", "spec": {"interactive": False}}
        env = {variable.name: variable.value for variable in plugin.env or []}
        # A path with a slash is relative to the kubeconfig, as with kubectl; a bare name is looked up on PATH.
        program = str(self._directory / plugin.command) if "/" in plugin.command else plugin.command
        try:
            output = run([program, *(plugin.args or [])], env={**env, "KUBERNETES_EXEC_INFO": json.dumps(info)})
            return str(json.loads(output)["status"]["token"])
        except CommandFailed as error:
            raise BadInput(
                f"the credential plugin of the kubeconfig failed: {error}",
                where=plugin.command,
                fix=plugin.installHint or "",
            ) from None
        except (ValueError, KeyError, TypeError):
            raise BadInput(
                "the credential plugin of the kubeconfig gave no token",
                where=plugin.command,
                allowed="an ExecCredential whose status holds a token",
                fix=plugin.installHint or "",
            ) from None
