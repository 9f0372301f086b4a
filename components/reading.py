"""Reads the configuration of a stack into its settings, in two places by the same rules.

The program reads it with secrets opened, commands read it before they run anything, with secrets sealed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, ValidationError

from adapters.errors import BadInput
from adapters.stackfile import PROJECT, KeyPath, StackFile, stack_names, stack_path
from components.complaints import Locator, complaint, key_name, plain_secret
from components.secret import SEALED, Secret
from components.settings import KINDS, AnySettings, EnvironmentSettings, GithubSettings

_KEYS = frozenset(field.alias for model in KINDS.values() for field in model.model_fields.values())


def read_mapping(
    config: Mapping[str, Any],
    *,
    stack: str,
    directory: Path = Path(),
    locate: Locator | None = None,
    complete: bool = True,
) -> AnySettings:
    """Read the values of a stack file (`StackFile.config`), in which secrets are sealed: `{secure: …}`.

    Raises `BadInput` naming key and line (by `locate`), and `Refused` for an image on hold. Without `complete`
    an environment may lack what the local platform writes into its files: images, certificates, credentials.
    """
    return _read(config, stack=stack, directory=directory, locate=locate, sealed=True, complete=complete)


def read_file(file: StackFile, *, complete: bool = True) -> AnySettings:
    """Read a stack file; see `read_mapping`."""
    directory, locate = file.path.parent, _locator(file)
    settings = read_mapping(file.config, stack=file.stack, directory=directory, locate=locate, complete=complete)
    if isinstance(settings, EnvironmentSettings | GithubSettings):
        settings.require_stacks(stack_names(directory), locate)
    return settings


def read_program() -> AnySettings:
    """Read the configuration of the running program, secrets opened."""
    directory, stack = Path(pulumi.get_root_directory()), pulumi.get_stack()
    path = stack_path(directory, stack)
    file = StackFile.load(path) if path.is_file() else None
    config = {key: _as_value(text) for key, text in pulumi_config.CONFIG.get().items()}
    locate = _locator(file) if file else None
    settings = _read(config, stack=stack, directory=directory, locate=locate, sealed=False, complete=True)
    _refuse_plain_secrets(settings, file, locate)
    return settings


def _read(
    config: Mapping[str, Any],
    *,
    stack: str,
    directory: Path,
    locate: Locator | None,
    sealed: bool,
    complete: bool,
) -> AnySettings:
    locate = locate or (lambda path: f"stack {stack}, {key_name(path)}")
    values = _own_values(config, locate)
    model = _model_of(values, locate)
    # Pulumi.yaml has to give keys of other kinds a default, an empty one; see there.
    values = {key: value for key, value in values.items() if key not in _KEYS or value not in ({}, [], "")}
    try:
        settings = model.model_validate(values, context={SEALED: sealed})
    except ValidationError as error:
        raise complaint(error, model, locate) from None
    settings.belong_to(stack, directory)
    if complete:
        settings.require_complete(locate)
    return settings


def _own_values(config: Mapping[str, Any], locate: Locator) -> dict[str, Any]:
    """The values by key without `slipway:`; other namespaces belong to no provider that is used here."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        namespace, _, name = key.rpartition(":")
        if namespace in ("", PROJECT):
            values[name] = value
        elif namespace != "pulumi":  # settings of the engine itself
            raise BadInput(
                "there is no such configuration key",
                where=locate((key,)),
                allowed="keys that begin with `slipway:`, since every provider is declared by the program",
            )
    return values


def _model_of(values: Mapping[str, Any], locate: Locator) -> type[AnySettings]:
    kind = values.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    raise BadInput(
        f"{kind!r} is no kind of a stack" if kind else "the stack does not say what it declares",
        where=locate(("kind",)),
        allowed=", ".join(KINDS),
    )


def _as_value(text: Any) -> Any:
    """Pulumi hands objects as JSON text and anything else as it stands."""
    if isinstance(text, str) and text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _locator(file: StackFile) -> Locator:
    def locate(path: KeyPath) -> str:
        line = next((line for end in range(len(path), 0, -1) if (line := file.line_of(path[:end]))), None)
        return f"{file.path.name}{f', line {line}' if line else ''}, {key_name(path)}"

    return locate


def _refuse_plain_secrets(settings: AnySettings, file: StackFile | None, locate: Locator | None) -> None:
    """Inside the program secrets look like any text: what Pulumi and the stack file say of them is compared."""
    for path in _secret_paths(settings):
        written = file.get(path) if file else None
        if isinstance(written, str) or not pulumi_config.is_config_secret(f"{PROJECT}:{path[0]}"):
            raise plain_secret(path, locate or key_name)


def _secret_paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The key path of every secret that a part of the settings holds."""
    if isinstance(value, Secret):
        return [path]
    inner: Mapping[Any, object] = {}
    if isinstance(value, BaseModel):
        inner = {field.alias or name: getattr(value, name) for name, field in type(value).model_fields.items()}
    elif isinstance(value, Mapping):
        inner = value
    return [found for key, item in inner.items() for found in _secret_paths(item, (*path, key))]
