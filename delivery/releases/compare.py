"""Where the configurations of two environments differ, and whether they may.

Compared is what decides how a release behaves there: the services and the rules of the environment. Where it runs
(cluster, registry), what it runs (images, holds) and who may change that (signers, gates, freezes) is each one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from components.secret import Secret
from components.settings import EnvironmentSettings

ABSENT = None
"""What an environment has at a path where it has nothing."""
_SECRET = "encrypted"  # noqa: S105 - what is shown in place of one
_SERVICES, _ENVIRONMENT = "services", "environment"


@dataclass(frozen=True)
class Difference:
    """`path` begins with `services.<service>.` or `environment.`; `a` and `b` are the values, None for nothing."""

    path: str
    a: Any
    b: Any
    allowed: bool


def shape(settings: EnvironmentSettings) -> dict[str, Any]:
    """What is compared, as plain values with the keys of stack files; of a secret only that there is one."""
    return {_SERVICES: _plain(settings.services), _ENVIRONMENT: _plain(settings.environment)}


def differences(a: EnvironmentSettings, b: EnvironmentSettings, may_differ: Sequence[str]) -> list[Difference]:
    """Where `a` and `b` differ, by path; each names the smallest part that one of them has otherwise, or not at all.

    `may_differ` is of the form of `slipway:mayDiffer`: paths within a service, or of `environment`.
    """
    return [
        Difference(".".join(path), left, right, _may(path, may_differ))
        for path, left, right in _different((), shape(a), shape(b))
    ]


def forbidden(a: EnvironmentSettings, b: EnvironmentSettings) -> list[str]:
    """The paths where `a` must not differ from `b`, by what `b` allows, and does."""
    return [found.path for found in differences(a, b, b.may_differ) if not found.allowed]


def _different(path: tuple[str, ...], a: Any, b: Any) -> list[tuple[tuple[str, ...], Any, Any]]:
    if a == b:
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted(a.keys() | b.keys())
        return [found for key in keys for found in _different((*path, key), a.get(key), b.get(key))]
    return [(path, a, b)]


def _may(path: Sequence[str], may_differ: Sequence[str]) -> bool:
    named = ".".join(path[2:] if path[0] == _SERVICES else path)
    return any(named == allowed or named.startswith(f"{allowed}.") for allowed in may_differ)


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return _SECRET
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        return {field.alias or name: _plain(getattr(value, name)) for name, field in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value
