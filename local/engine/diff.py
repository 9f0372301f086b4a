"""What differs between two states of an object, field by field, with secrets hidden."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from adapters.kubernetes import JsonObject
from local.engine.values import HIDDEN, UNKNOWN, Path

_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
_LONGEST = 100
_ABSENT = object()
_ANY = "[]"  # any element of a list

Kind = Literal["add", "delete", "update"]


@dataclass(frozen=True)
class Change:
    """A field that differs; `before` and `after` are texts, safe to show, empty where the field is absent."""

    path: str
    kind: Kind
    before: str
    after: str

    def __str__(self) -> str:
        match self.kind:
            case "add":
                return f"+ {self.path}: {self.after}"
            case "delete":
                return f"- {self.path}: {self.before}"
        return f"~ {self.path}: {self.before} → {self.after}"


def changes(live: JsonObject, planned: JsonObject, hide: Iterable[Path] = ()) -> list[Change]:
    """How `planned` differs from `live`, without what servers and controllers write: status, versions, owners.

    Values at or below the paths of `hide`, and the data of a Secret, are not shown. A path into one element of a list
    hides that field in all of them, since the server may hold them in another order.
    """
    hidden = frozenset(tuple(_ANY if isinstance(step, int) else step for step in path) for path in hide)
    if live.get("kind") == "Secret":
        hidden = hidden | {("data",), ("stringData",)}
    return list(_compare(_comparable(live), _comparable(planned), (), "", hidden))


def _comparable(obj: JsonObject) -> JsonObject:
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key not in _SERVERS_OWN}
    return {key: value for key, value in obj.items() if key not in ("status", "metadata")} | {"metadata": metadata}


def _compare(before: Any, after: Any, path: Path, shown: str, hidden: frozenset[Path]) -> Iterator[Change]:
    if before == after:
        return
    if path in hidden and not (isinstance(before, dict) and isinstance(after, dict)):
        yield _change(before, after, shown, hide=True)
    elif isinstance(before, dict) and isinstance(after, dict):
        inner = hidden | {(*path, key) for key in {*before, *after}} if path in hidden else hidden
        for key in sorted({*before, *after}):
            name = key if key.replace("-", "").replace("_", "").isalnum() else f'["{key}"]'
            below = f"{shown}.{name}" if shown and not name.startswith("[") else f"{shown}{name}"
            yield from _compare(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, key), below, inner)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(before, after, path, shown, hidden)
    else:
        yield _change(before, after, shown, hide=any(secret[: len(path)] == path for secret in hidden))


def _compare_lists(
    before: list[Any], after: list[Any], path: Path, shown: str, hidden: frozenset[Path]
) -> Iterator[Change]:
    """Elements with names are compared by name, others by position."""
    old, new = _by_name(before), _by_name(after)
    if old is None or new is None:
        old, new = dict(enumerate(before)), dict(enumerate(after))
    for key in {**old, **new}:
        yield from _compare(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, _ANY), f"{shown}[{key}]", hidden)


def _by_name(elements: list[Any]) -> dict[Any, Any] | None:
    names = [element.get("name") if isinstance(element, dict) else None for element in elements]
    if None in names or len(set(names)) < len(names):
        return None
    return dict(zip(names, elements, strict=True))


def _change(before: Any, after: Any, shown: str, *, hide: bool) -> Change:
    kind: Kind = "add" if before is _ABSENT else "delete" if after is _ABSENT else "update"
    return Change(shown, kind, _text(before, hide), _text(after, hide))


def _text(value: Any, hide: bool) -> str:
    if value is _ABSENT:
        return ""
    if hide:
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False, default=_unknown)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _unknown(value: object) -> str:
    if value is UNKNOWN:
        return "<computed>"
    raise TypeError(f"not JSON: {value!r}")
