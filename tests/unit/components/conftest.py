"""Runs the whole program against a monitor that records every registration, with its options."""

from __future__ import annotations

import asyncio
import contextlib
import json
import runpy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import empty_pb2
from pulumi.runtime import Settings as RuntimeSettings
from pulumi.runtime import configure, run_in_stack, set_all_config
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.proto import resource_pb2

from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from local.engine.urn import STACK_TYPE, Urn
from local.engine.values import Tree, decode, encode, has_secret, reveal, secret_strings

DIGEST = "sha256:" + "ab" * 32
OTHER_DIGEST = "sha256:" + "cd" * 32
TEAM_IDS = {"platform": 11, "developers": 12, "qa": 13}
"""The numbers that GitHub knows the committed teams by."""


@dataclass(frozen=True)
class Registered:
    """A registration as the engine gets it; secrets in `tree` are marked."""

    request: Any
    tree: dict[str, Tree]

    @property
    def kind(self) -> str:
        return str(self.request.type.rpartition(":")[2])

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = reveal(self.tree)
        return manifest

    def marks(self, field_: str) -> bool:
        """Whether a secret lies in a field."""
        return has_secret(self.tree.get(field_))


@dataclass
class Recorded:
    """What one run of the program registered, exported and looked up."""

    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    lookups: list[tuple[str, str]] = field(default_factory=list)

    @property
    def objects(self) -> list[Registered]:
        return [r for r in self.resources if r.request.type.startswith("kubernetes:")]

    def of(self, kind: str) -> list[Registered]:
        return [r for r in self.objects if r.kind == kind]

    def one(self, kind: str, name: str | None = None) -> Registered:
        (found,) = [r for r in self.of(kind) if name in (None, r.manifest["metadata"]["name"])]
        return found

    def one_provider(self, package: str) -> Registered:
        (found,) = [r for r in self.resources if r.request.type == f"pulumi:providers:{package}"]
        return found


class _Recorder:
    """What the SDK calls in place of an engine; the SDK's own mocks see no options of resources."""

    def __init__(self, recorded: Recorded, digests: Mapping[str, str]) -> None:
        self._recorded, self._digests = recorded, digests

    def GetDeploymentInfo(self, _: Any) -> Any:  # noqa: N802
        return resource_pb2.DeploymentInfo(
            supportedFeatures=[
                resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
                resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
            ]
        )

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        parent = Urn.parse(request.parent).types if request.parent else ()
        urn = Urn("stack", "slipway", (*(t for t in parent if t != STACK_TYPE), request.type), request.name)
        self._recorded.resources.append(Registered(request, decode(request.object)))
        id_ = f"{request.name}-id" if request.custom else ""
        return resource_pb2.RegisterResourceResponse(urn=str(urn), id=id_, object=request.object)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if Urn.parse(request.urn).types[-1] == STACK_TYPE:
            self._recorded.outputs.update(decode(request.outputs))
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        arguments = decode(request.args)
        if request.tok == "github:index/getTeam:getTeam":
            answer = encode({**arguments, "id": str(TEAM_IDS[arguments["slug"]])})
            return resource_pb2.ResourceInvokeResponse(**{"return": answer})
        name = arguments["name"]
        self._recorded.lookups.append((name, request.provider))
        answer = encode({"name": name, "sha256Digest": self._digests[name]})
        return resource_pb2.ResourceInvokeResponse(**{"return": answer})

    def SignalAndWaitForShutdown(self, _: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()


Declare = Callable[..., Recorded]


@pytest.fixture
def declare(tmp_path: Path) -> Iterator[Declare]:
    """Runs `__main__.py` for a stack; `config` is as in its file, a secret is `Plain("…")`."""
    loops: list[asyncio.AbstractEventLoop] = []

    def run(config: Mapping[str, Any], *, stack: str = "prod", digests: Mapping[str, str] | None = None) -> Recorded:
        recorded = Recorded()
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # errors are raised below, once
        loops.append(loop)
        asyncio.set_event_loop(loop)
        configure(
            RuntimeSettings(
                project="slipway",
                stack=stack,
                monitor=_Recorder(recorded, digests or {}),
                engine=MockEngine(None),
                dry_run=False,
                root_directory=str(tmp_path),
            )
        )
        texts = {f"slipway:{key}": _text(value) for key, value in config.items()}
        set_all_config(texts, [f"slipway:{key}" for key, value in config.items() if _has_plain(value)])
        loop.run_until_complete(run_in_stack(lambda: runpy.run_path(str(REPOSITORY / "__main__.py"))))
        return recorded

    yield run
    for loop in loops:
        with contextlib.suppress(RuntimeError):
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def _runs() -> dict[str, Recorded]:
    return {}


@pytest.fixture
def declare_once(declare: Declare, _runs: dict[str, Recorded]) -> Declare:
    """Like `declare`, with one run of equal configurations for all tests; what it gives is only looked at."""

    def run(config: Mapping[str, Any], *, stack: str = "prod") -> Recorded:
        key = repr((stack, config))
        if key not in _runs:
            _runs[key] = declare(config, stack=stack)
        return _runs[key]

    return run


class Plain(str):
    """A secret, opened as Pulumi opens it for the program."""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _has_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_plain, value.values()))
    return isinstance(value, Plain)


def committed(stack: str) -> dict[str, Any]:
    """The configuration of a committed stack file, keys without `slipway:`."""
    config = StackFile.load(REPOSITORY / f"Pulumi.{stack}.yaml").config
    return {key.removeprefix("slipway:"): value for key, value in config.items()}


def environment(stack: str = "prod", **hello: Any) -> dict[str, Any]:
    """The committed configuration of an environment with what `make up` adds, and `hello` shaped as given."""
    config = committed(stack)
    config["services"]["hello"] |= hello
    config["images"] = {"hello": f"hello:v1.2.3@{DIGEST}"}
    config["registryCredentials"] = {"pull": {"username": "node", "password": Plain("pull-password")}}
    return config


def shared() -> dict[str, Any]:
    """The committed configuration of the shared stack with what `make up` adds."""
    config = committed("shared")
    config["registry"]["inCluster"] |= {"certificate": "PEM of a certificate", "key": Plain("PEM of a key")}
    config["registryCredentials"] = {
        "push": {"username": "ci", "password": Plain("push-password")},
        "pull": {"username": "node", "password": Plain("pull-password")},
    }
    return config


def monitoring(**values: Any) -> dict[str, Any]:
    """The committed configuration of the monitoring, with every part that a place may have to leave out."""
    password = {"grafana": {"adminPassword": Plain("what-only-admin-knows")}}
    return {key: value for key, value in committed("monitoring").items() if key != "leaveOut"} | password | values


def secrets_of(config: Any) -> set[str]:
    """Every secret text of a configuration."""
    if isinstance(config, Mapping):
        return {text for value in config.values() for text in secrets_of(value)}
    return {str(config)} if isinstance(config, Plain) else set()


def in_clear(resource: Registered) -> str:
    """Everything of a registration that is not marked secret."""
    shown = json.dumps(resource.tree, default=lambda _: None)
    assert not any(text in shown for text in secret_strings(resource.tree) if len(text) > len("nobody"))
    return shown
