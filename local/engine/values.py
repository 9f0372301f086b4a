"""Property values as the SDK sends them: plain trees, in which secrets and unknowns stay marked.

The SDK puts both into a protobuf Struct by signatures (`pulumi/runtime/rpc.py`). Here a secret is a `Secret` around its
value and an unknown is `UNKNOWN`, so that no code can send, print or compare one by accident: neither is JSON.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import rpc

from adapters.errors import BadInput

Tree = Any
"""None, bool, int, float, str, `Secret`, `UNKNOWN`, or a list or a dict (with string keys) of these."""

Path = tuple[str | int, ...]
"""The way to a value: names of fields, positions in lists."""

HIDDEN = "[secret]"
"""What is shown where a secret stands; the Automation API knows it by this spelling."""

_SIGNATURE = rpc._special_sig_key
_SECRET = rpc._special_secret_sig
_RESOURCE = rpc._special_resource_sig


class Unknown(enum.Enum):
    """The type of `UNKNOWN`: a value that only the update itself will bring."""

    UNKNOWN = "computed"

    def __repr__(self) -> str:
        return "<computed>"


UNKNOWN = Unknown.UNKNOWN


@dataclass(frozen=True)
class Secret:
    """A value that is never shown."""

    value: Tree

    def __repr__(self) -> str:
        return HIDDEN


def decode(struct: struct_pb2.Struct) -> dict[str, Tree]:
    """A message's properties; a number without a fraction becomes an int, as Kubernetes wants it."""
    return {name: _decode(value) for name, value in struct.fields.items()}


def encode(properties: Mapping[str, Tree]) -> struct_pb2.Struct:
    """The opposite of `decode`; the SDK reads marked secrets and unknowns out of it again."""
    struct = struct_pb2.Struct()
    struct.update({name: _encoded(value) for name, value in properties.items()})
    return struct


def reveal(tree: Tree) -> Tree:
    """The tree without marks of secrets and without fields that are None; what is unknown stays `UNKNOWN`."""
    if isinstance(tree, Secret):
        return reveal(tree.value)
    if isinstance(tree, dict):
        return {name: reveal(value) for name, value in tree.items() if value is not None}
    return [reveal(value) for value in tree] if isinstance(tree, list) else tree


def replace_marked(tree: Tree, *, secret: Callable[[Tree], Tree], unknown: Tree) -> Tree:
    """The tree with each secret and each unknown replaced, and without fields that are None."""
    if isinstance(tree, Secret):
        return secret(tree.value)
    if tree is UNKNOWN:
        return unknown
    if isinstance(tree, dict):
        kept = {name: value for name, value in tree.items() if value is not None}
        return {name: replace_marked(value, secret=secret, unknown=unknown) for name, value in kept.items()}
    if isinstance(tree, list):
        return [replace_marked(value, secret=secret, unknown=unknown) for value in tree]
    return tree


def has_secret(tree: Tree) -> bool:
    """Whether a secret lies anywhere in the tree."""
    return any(isinstance(value, Secret) for _, value in walk(tree))


def has_unknown(tree: Tree) -> bool:
    """Whether anything in the tree is unknown."""
    return any(value is UNKNOWN for _, value in walk(tree))


def secret_paths(tree: Tree) -> frozenset[Path]:
    """Where in the tree secrets lie."""
    return frozenset(path for path, value in walk(tree) if isinstance(value, Secret))


def secret_strings(tree: Tree) -> Iterator[str]:
    """Every text that a secret of the tree holds."""
    for _, value in walk(tree):
        if isinstance(value, Secret):
            yield from (str(leaf) for _, leaf in walk(reveal(value)) if isinstance(leaf, str))


def walk(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, Tree]]:
    """Every value of the tree with its path, containers and what lies in secrets included."""
    yield path, tree
    inner = tree.value if isinstance(tree, Secret) else tree
    if isinstance(inner, dict):
        for name, value in inner.items():
            yield from walk(value, (*path, name))
    elif isinstance(inner, list):
        for position, value in enumerate(inner):
            yield from walk(value, (*path, position))
    elif inner is UNKNOWN and inner is not tree:
        yield path, inner


def _decode(value: struct_pb2.Value) -> Tree:
    match value.WhichOneof("kind"):
        case "string_value":
            text = value.string_value
            return UNKNOWN if text == rpc.UNKNOWN else text
        case "struct_value":
            return _decode_struct(value.struct_value)
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "list_value":
            return [_decode(element) for element in value.list_value.values]
        case "bool_value":
            return value.bool_value
    return None


def _decode_struct(struct: struct_pb2.Struct) -> Tree:
    signature = struct.fields[_SIGNATURE].string_value if _SIGNATURE in struct.fields else None
    if signature is None:
        return decode(struct)
    if signature == _SECRET:
        return Secret(_decode(struct.fields["value"]))
    if signature == _RESOURCE:
        return struct.fields["urn"].string_value
    raise BadInput("an asset or archive is used as a value", fix="Read the file in the program and pass its text")


def _encoded(tree: Tree) -> Tree:
    if isinstance(tree, Secret):
        return {_SIGNATURE: _SECRET, "value": _encoded(tree.value)}
    if tree is UNKNOWN:
        return rpc.UNKNOWN
    if isinstance(tree, dict):
        return {name: _encoded(value) for name, value in tree.items()}
    return [_encoded(value) for value in tree] if isinstance(tree, list) else tree
