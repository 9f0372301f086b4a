"""Turns what pydantic finds wrong into one paragraph that a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from adapters.errors import BadInput
from adapters.stackfile import PROJECT, KeyPath

Locator = Callable[[KeyPath], str]
"""Says where a key path is: file, line and key."""

_TYPES = {
    "int_type": "a whole number",
    "string_type": "text, in quotes where YAML would take it for something else",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
}
_LONGEST_SHOWN = 60


def key_name(path: KeyPath) -> str:
    """A key path as people write it: `slipway:services.hello.replicas`, `slipway:holds[0].digest`."""
    first, *rest = path
    name = str(first) if ":" in str(first) else f"{PROJECT}:{first}"
    return name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)


def complaint(error: ValidationError, model: type[BaseModel], locate: Locator) -> BadInput:
    """The first thing that is wrong, in full, with the names of the others."""
    # An unknown key comes first: it is often the reason why another one is missing.
    found = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
    first, others = found[0], [key_name(_path(detail)) for detail in found[1:] if detail["loc"]]
    result = _one(first, model, locate)
    if not others:
        return result
    also = f"Also wrong: {', '.join(others)}"
    return BadInput(
        result.what, where=result.where, allowed=result.allowed, fix=f"{result.fix}. {also}" if result.fix else also
    )


def no_such_key(path: KeyPath, valid: Iterable[str], locate: Locator, *, what: str = "configuration key") -> BadInput:
    """The refusal of a name that is not one of `valid`."""
    names = sorted(valid)
    name = str(path[-1])
    (close, *_) = (*difflib.get_close_matches(name, names, n=1), "")
    return BadInput(
        f"there is no {what} {name!r}" + (f" (did you mean {close!r}?)" if close else ""),
        where=locate(path),
        allowed=", ".join(names) or "none",
        fix="Correct or remove it",
    )


def plain_secret(path: KeyPath, locate: Locator) -> BadInput:
    """The refusal of a secret in plain text, which it does not repeat."""
    return BadInput(
        "the value is a secret and stands here in plain text",
        where=locate(path),
        allowed="an encrypted value, `{secure: …}`",
        fix=f"Set it with `pulumi config set --secret --path '{key_name(path)}'`, and change the secret itself",
    )


def _one(detail: ErrorDetails, model: type[BaseModel], locate: Locator) -> BadInput:
    path, kind = _path(detail), detail["type"]
    if kind == "extra_forbidden":
        noun = getattr(_type_at(model, path[:-1]), "NOUN", "configuration key")
        return no_such_key(path, keys_at(model, path[:-1]) or (), locate, what=noun)
    if kind == "plain_secret":
        return plain_secret(path, locate)
    if kind == "missing":
        return BadInput("the key is missing", where=locate(path), allowed=_description(model, path))
    if kind == "value_error":
        return BadInput(detail["msg"].removeprefix("Value error, "), where=locate(path))
    return BadInput(_not_allowed(detail), where=locate(path), allowed=_description(model, path))


def _not_allowed(detail: ErrorDetails) -> str:
    shown, kind = _shown(detail["input"]), detail["type"]
    if kind in _TYPES:
        return f"{shown} is not {_TYPES[kind]}"
    if kind == "string_pattern_mismatch":
        return f"{shown} does not have the form {detail['ctx']['pattern']}"
    return f"{shown}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _path(detail: ErrorDetails) -> tuple[str | int, ...]:
    """The key path of an error; what pydantic adds for keys of mappings (`[key]`) is left out."""
    return tuple(step for step in detail["loc"] if step != "[key]") or ("kind",)


def _shown(value: Any) -> str:
    """A value as it is repeated to the reader; of mappings and lists only that they are."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def keys_at(model: type[BaseModel], path: KeyPath) -> list[str] | None:
    """The keys there may be at a key path below `model`; None where any may be, in a mapping of names to values."""
    place: Any = model
    for step in path:
        place = _inside(place, step)
    if (found := _as_model(place)) is not None:
        return [field.alias or name for name, field in found.model_fields.items()]
    return None if any(get_origin(option) is dict for option in _options(place)) else []


def _description(model: type[BaseModel], path: KeyPath) -> str:
    """What the schema says of a key."""
    place = _type_at(model, path[:-1])
    for name, field in (place.model_fields if place else {}).items():
        if path[-1] in (name, field.alias):
            return field.description or ""
    return ""


def _type_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The class of settings at a key path below `model`."""
    place: Any = model
    for step in path:
        place = _inside(place, step)
    return _as_model(place)


def _inside(place: Any, step: str | int) -> Any:
    if (found := _as_model(place)) is not None:
        by_key = {field.alias or name: field.annotation for name, field in found.model_fields.items()}
        return by_key.get(str(step))
    for option in _options(place):
        if get_origin(option) in (dict, tuple):
            return get_args(option)[1 if get_origin(option) is dict else 0]
    return None


def _as_model(place: Any) -> type[BaseModel] | None:
    """A class of settings by itself, or as an option beside None."""
    for option in _options(place):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _options(place: Any) -> tuple[Any, ...]:
    if get_origin(place) is Annotated:
        place = get_args(place)[0]
    return get_args(place) if isinstance(place, UnionType) or get_origin(place) is Union else (place,)
