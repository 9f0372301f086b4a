"""Manifests from the plan pass, without a cluster and without secrets.

Secrets are a marker: the passphrase is not asked for. What only an update would bring (outputs of other stacks, digests
of tags) is another. In the data of a Secret both are in base64, so that the manifest stays valid.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from adapters.kubernetes import JsonObject
from local.engine.failures import Failed, Failure
from local.engine.model import Declared
from local.engine.monitor import Monitor
from local.engine.output import Display
from local.engine.program import run_program
from local.engine.project import Stack
from local.engine.providers import Providers
from local.engine.values import HIDDEN, Tree, replace_marked

_UNKNOWN = "computed-by-the-update"
_JSON_KEYS = (".dockerconfigjson", ".dockercfg")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


def render_stack(stack: Stack, out_dir: Path, display: Display) -> None:
    """Run the program and write what it declares."""
    writer = _Writer(out_dir)
    monitor = Monitor(stack, Providers(stack), writer, lambda _: {}, display.redact, offline=True)
    errors = run_program(stack, stack.config(None), monitor, dry_run=True, display=display)
    if errors:
        raise Failed([Failure.of(error) for error in errors])


class _Writer:
    """Writes each object as it is registered."""

    def __init__(self, out_dir: Path) -> None:
        self._out_dir = out_dir

    def register(self, declared: Declared) -> Mapping[str, Tree]:
        """Write the manifest; the program sees what it declared."""
        identity = declared.identity
        directory = self._out_dir / (identity.namespace or "cluster")
        directory.mkdir(parents=True, exist_ok=True)
        name = _UNSAFE.sub("-", f"{identity.kind.lower()}-{identity.name}")
        text = yaml.safe_dump(_shown(declared.tree), sort_keys=False, allow_unicode=True)
        (directory / f"{name}.yaml").write_text(text, encoding="utf-8")
        return dict(declared.tree)


def _shown(tree: Tree) -> JsonObject:
    if tree["kind"] != "Secret":
        manifest: JsonObject = replace_marked(tree, secret=lambda _: HIDDEN, unknown=_UNKNOWN)
        return manifest
    parts: dict[str, Callable[[str], str]] = {"data": _base64, "stringData": str}
    hidden = {name: _hide(tree[name], encode) for name, encode in parts.items() if tree.get(name) is not None}
    rest = {name: value for name, value in tree.items() if name not in parts}
    shown: JsonObject = replace_marked(rest, secret=lambda _: HIDDEN, unknown=_UNKNOWN)
    return shown | hidden


def _hide(values: Tree, encode: Callable[[str], str]) -> dict[str, str]:
    """Every value of a Secret is hidden, also one that nobody marked; its keys are part of its shape."""
    inner = values.value if hasattr(values, "value") else values
    return {key: encode(_marker(key)) for key in inner} if isinstance(inner, dict) else {"unknown": encode(HIDDEN)}


def _marker(key: str) -> str:
    """The server wants JSON where a registry's credentials are (k8s.io/kubernetes, ValidateSecret)."""
    return json.dumps({"secret": HIDDEN}) if key in _JSON_KEYS else HIDDEN


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
