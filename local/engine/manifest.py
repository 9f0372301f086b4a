"""From what the program says of an object to what is sent: fields of others are left to them.

Server-side apply (KEP-555) keeps in `metadata.managedFields` who owns which field. A field we own and then leave out is
removed or set to its default: a Deployment whose `replicas` go to an autoscaler would pass through 1. So a field named
in `ignore_changes` is sent with its live value as long as nobody else owns it, and left out as soon as somebody does.
"""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapters.errors import BadInput
from adapters.kubernetes import JsonObject
from local.engine.model import MANAGER
from local.engine.values import Path

_STEP = re.compile(r"""\.?([^.\[\]"*]+)|\.?(\*)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\[(\*)\]""")
_MISSING = object()


def without_string_data(manifest: JsonObject) -> JsonObject:
    """A Secret with its `stringData` moved to `data`, where the server keeps it; others as they are.

    Left to the server, a key that is no longer declared would stay: `stringData` is owned under a name of its own.
    """
    if manifest.get("kind") != "Secret" or "stringData" not in manifest:
        return manifest
    encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in manifest["stringData"].items()}
    rest = {name: value for name, value in manifest.items() if name != "stringData"}
    return rest | {"data": {**manifest.get("data", {}), **encoded}}


def to_send(manifest: JsonObject, ignored: Sequence[str], live: JsonObject | None) -> JsonObject:
    """What is applied: `manifest` with the paths of `ignored` as they are in the live object, or not at all."""
    if live is None or not ignored:
        return manifest
    result = copy.deepcopy(manifest)
    for path in ignored:
        for place in _expand(parse_path(path), live, result):
            _settle(result, place, live)
    return result


def is_ours(live: JsonObject) -> bool:
    """Whether we ever applied the object."""
    return _our_fields(live) is not None


def owned_differs(live: JsonObject, planned: JsonObject) -> bool:
    """Whether applying would make us own other fields than we do, though their values be the same."""
    return _our_fields(live) != _our_fields(planned)


def owned_by_another(live: JsonObject, path: Path) -> bool:
    """Whether a manager other than us owns the field at `path`, or the list or map around it as one piece."""
    return any(_owns(entry.get("fieldsV1", {}), path, live) for entry in _managers(live) if not _is_us(entry))


def parse_path(text: str) -> tuple[str | int, ...]:
    """A property path of Pulumi: `spec.replicas`, `metadata.annotations["a.b/c"]`, `spec.ports[0]`; `*` is any."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise BadInput(f"{text!r} is no property path", where="ignore_changes", allowed="such as spec.replicas")
        name, star, quoted, index, any_index = match.groups()
        steps.append(int(index) if index else name or star or any_index or str(json.loads(f'"{quoted}"')))
        position = match.end()
    return tuple(steps)


def _settle(result: JsonObject, path: Path, live: JsonObject) -> None:
    value = _lookup(live, path)
    if value is _MISSING or owned_by_another(live, path):
        _remove(result, path)
    else:
        _put(result, path, copy.deepcopy(value))


def _expand(pattern: Path, *objects: Any) -> Iterator[Path]:
    """The paths that match a pattern in any of the objects."""
    if "*" not in pattern:
        yield pattern
        return
    star = pattern.index("*")
    before, after = pattern[:star], pattern[star + 1 :]
    keys: dict[str | int, None] = {}
    for obj in objects:
        keys |= dict.fromkeys(_keys(_lookup(obj, before)))
    for key in keys:
        yield from _expand((*before, key, *after), *objects)


def _keys(value: Any) -> Iterable[str | int]:
    if isinstance(value, dict):
        return value
    return range(len(value)) if isinstance(value, list) else ()


def _lookup(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return value


def _put(root: Any, path: Path, value: object) -> None:
    *parents, last = path
    for step in parents:
        if isinstance(root, dict):
            root = root.setdefault(step, {})
        elif isinstance(root, list) and isinstance(step, int) and step < len(root):
            root = root[step]
        else:
            return  # the declared list is shorter than the live one: there is nothing to keep
    if last in _keys(root):
        root[last] = value
    elif isinstance(root, dict):
        root |= {last: value}


def _remove(root: Any, path: Path) -> None:
    parent = _lookup(root, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


def _managers(obj: JsonObject) -> list[JsonObject]:
    return obj["metadata"].get("managedFields") or []


def _is_us(entry: JsonObject) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")


def _our_fields(obj: JsonObject) -> JsonObject | None:
    return next((entry.get("fieldsV1", {}) for entry in _managers(obj) if _is_us(entry)), None)


def _owns(fields: JsonObject, path: Path, value: Any) -> bool:
    """Whether a set of fields (`f:name`, `k:{"key":…}`, `v:…`) holds what lies at `path` of `value`, or part of it."""
    if not path:
        return True
    step, rest = path[0], path[1:]
    inner = _lookup(value, (step,))
    if isinstance(step, int):
        found = [sub for key, sub in fields.items() if _selects(key, inner)]
    else:
        found = [fields[f"f:{step}"]] if f"f:{step}" in fields else []
    # An empty set is a leaf: the field is owned as one piece, with all that lies in it.
    return any(not sub or _owns(sub, rest, inner) for sub in found)


def _selects(key: str, element: Any) -> bool:
    prefix, _, text = key.partition(":")
    if prefix == "k" and isinstance(element, dict):
        return all(element.get(name) == value for name, value in json.loads(text).items())
    return prefix == "v" and json.loads(text) == element
