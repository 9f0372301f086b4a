"""A configuration directory: `Pulumi.yaml`, and for each stack its file, configuration and secrets.

What the SDK wants of it (`pulumi.runtime.set_all_config`): each key with a text, objects as JSON, secrets decrypted,
and the names of the keys that hold any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from adapters.errors import BadInput, Refused
from adapters.passphrase import Passphrase, find_passphrase
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile, stack_names, stack_path
from local.engine.values import HIDDEN

_NEEDS_CLI = "Take the Pulumi CLI for this stack"
_STACK_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class StackNotFound(BadInput):
    """There is no such stack; the Automation API reads the error's words."""

    def __init__(self, project: Project, stack: str) -> None:
        super().__init__(
            f"no stack named '{stack}' found",
            where=str(project.directory),
            allowed=", ".join(project.stacks()) or "none is there",
            fix="Correct the name, or create the stack",
        )


@dataclass(frozen=True)
class Project:
    """What `Pulumi.yaml` says. `program` is the directory or file that is run, `defaults` fill in configuration."""

    directory: Path
    name: str
    program: Path
    defaults: Mapping[str, object]

    @classmethod
    def load(cls, directory: Path) -> Project:
        """Read `Pulumi.yaml`; raises `BadInput` where it is missing or of another language."""
        path = directory / "Pulumi.yaml"
        data = _read_yaml(path)
        runtime = data.get("runtime")
        language = runtime.get("name") if isinstance(runtime, dict) else runtime
        if language != "python" or not isinstance(data.get("name"), str):
            raise BadInput(
                f"the local engine runs no project of runtime {language!r}",
                where=str(path),
                allowed="a `name`, and `runtime: python`",
            )
        if not (url := str((data.get("backend") or {}).get("url") or "file://")).startswith("file:"):
            raise BadInput(
                f"the local engine keeps no state at {url}",
                where=f"{path}, backend",
                allowed="no `backend`: the record of a stack is in its cluster",
                fix=_NEEDS_CLI,
            )
        program = (directory / str(data.get("main") or ".")).resolve()
        if not program.exists():
            raise BadInput(f"the program {program} does not exist", where=f"{path}, main")
        return cls(directory, data["name"], program, _defaults(data["name"], data.get("config") or {}))

    @property
    def is_ours(self) -> bool:
        """Whether the program is this repository's own, of which the engine knows more than of any other."""
        return self.program == REPOSITORY

    def stacks(self) -> list[str]:
        """The names of the stacks that were initialised: those whose file holds a salt."""
        return [name for name in stack_names(self.directory) if StackFile.load(self.stack_path(name)).encryption_salt]

    def stack_path(self, stack: str) -> Path:
        """Where the stack's file is; raises `BadInput` for a name that cannot be a file's."""
        if not _STACK_NAME.fullmatch(stack):
            raise BadInput(f"{stack!r} is no name of a stack", allowed="letters, digits, `-`, `_` and `.`")
        return stack_path(self.directory, stack)

    def stack(self, name: str, *, initialised: bool = True) -> Stack:
        """The stack `name` (of `org/project/name` the last part); raises `StackNotFound`.

        Its secrets can be opened only if it was initialised; else its file alone makes it a stack.
        """
        name = name.rpartition("/")[2]
        path = self.stack_path(name)
        if not path.is_file():
            raise StackNotFound(self, name)
        file = StackFile.load(path)
        _check_supported(path)
        if initialised and not file.encryption_salt:
            raise StackNotFound(self, name)
        return Stack(self, name, file)


@dataclass(frozen=True)
class Cluster:
    """`slipway:cluster`: where the stack's record is."""

    kubeconfig: str | None
    context: str | None
    identifier: str


@dataclass(frozen=True)
class Config:
    """A stack's configuration as the SDK wants it; `secrets` are all the texts that were encrypted."""

    values: Mapping[str, str] = field(repr=False)
    secret_keys: frozenset[str]
    secrets: frozenset[str] = field(repr=False)


@dataclass(frozen=True)
class Stack:
    """A stack and its file."""

    project: Project
    name: str
    file: StackFile

    def cluster(self) -> Cluster:
        """Raises `BadInput` if the stack names none."""
        value = self.file.get(("slipway:cluster",))
        if not isinstance(value, dict) or not isinstance(value.get("identifier"), str):
            raise BadInput(
                "the stack does not name its cluster",
                where=f"{self.file.path}, slipway:cluster",
                allowed="an object with `context`, `identifier` and, if it is not the usual one, `kubeconfig`",
            )
        kubeconfig = value.get("kubeconfig")
        return Cluster(kubeconfig and self.locate(kubeconfig), value.get("context"), value["identifier"])

    def locate(self, kubeconfig: str) -> str:
        """A kubeconfig's path seen from anywhere: `~` is the user's home, what is relative lies by the stack file."""
        if "\n" in kubeconfig:
            return kubeconfig  # not a path but the text of one
        return str(self.project.directory / Path(kubeconfig).expanduser())

    def crypter(self, environ: Mapping[str, str]) -> Passphrase:
        """Opens the stack's secrets; raises `BadInput` for a wrong passphrase."""
        return Passphrase.open(find_passphrase(environ), self.file.encryption_salt or "")

    def config(self, crypter: Passphrase | None) -> Config:
        """The configuration with the project's defaults; without `crypter` every secret is a marker."""
        found: set[str] = set()
        values, secret_keys = {}, set()
        for key, raw in {**self.project.defaults, **_full_keys(self.project.name, self.file.config)}.items():
            secrets: set[str] = set()
            value = _decrypted(raw, crypter, secrets)
            values[key] = as_text(value)
            if secrets:
                secret_keys.add(key)
            found |= secrets
        return Config(values, frozenset(secret_keys), frozenset(found - {HIDDEN}))

    def check_engine(self, *, changes: bool) -> None:
        """Raises `Refused` for a stack that the other engine keeps, unless nothing would be changed."""
        marker = self.project.directory / ".slipway" / f"{self.name}.engine"
        if changes and marker.is_file() and (other := marker.read_text(encoding="utf-8").strip()) != "local":
            raise Refused(
                f"stack {self.name} is kept by the engine {other!r}, not by this one",
                where=str(marker),
                fix=f"Use that engine, or change it with `slipway engine adopt {self.name}`",
            )


def _check_supported(path: Path) -> None:
    """Raises `BadInput` for what would change what the stack's values are, were it overlooked."""
    data = _read_yaml(path)
    provider = str(data.get("secretsprovider") or "passphrase")
    refused = {
        f"secrets encrypted by {provider}": provider not in ("passphrase", "default"),
        "secrets encrypted by a cloud's key": "encryptedkey" in data,
        "environments of Pulumi ESC": bool(data.get("environment")),
    }
    if found := [what for what, there in refused.items() if there]:
        raise BadInput(
            f"the local engine does not support {found[0]}",
            where=str(path),
            allowed="secrets encrypted by a passphrase",
            fix=_NEEDS_CLI,
        )


def as_text(value: object) -> str:
    """A value of a stack file as the SDK is given it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _decrypted(value: Any, crypter: Passphrase | None, secrets: set[str]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            plain = crypter.decrypt(str(value["secure"])) if crypter else HIDDEN
            secrets.add(plain)
            return plain
        return {key: _decrypted(inner, crypter, secrets) for key, inner in value.items()}
    return [_decrypted(inner, crypter, secrets) for inner in value] if isinstance(value, list) else value


def _full_keys(project: str, config: Mapping[str, object]) -> dict[str, object]:
    return {key if ":" in key else f"{project}:{key}": value for key, value in config.items()}


def _defaults(project: str, declared: Mapping[str, Any]) -> dict[str, object]:
    """`config:` of Pulumi.yaml: either a value, or a schema that may hold `default` or `value`."""
    found: dict[str, object] = {}
    for key, entry in _full_keys(project, declared).items():
        if not isinstance(entry, dict):
            found[key] = entry
        elif "value" in entry or "default" in entry:
            found[key] = entry.get("value", entry.get("default"))
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except FileNotFoundError:
        raise BadInput(
            "there is no Pulumi project here", where=str(path), fix="Name a configuration directory"
        ) from None
    except yaml.YAMLError as error:
        raise BadInput(f"the file is no valid YAML: {error}".replace("\n", " "), where=str(path)) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise BadInput("this is no Pulumi project", where=str(path), allowed="a mapping with `name` and `runtime`")
    return data
