"""Changes single values in a YAML text and leaves every other byte as it was.

Writers that load and dump (ruamel.yaml's round trip too) move or drop comments: what precedes a key belongs to the
key before it, and goes when that one goes. Here a change is cut into the text where the parser says the value is.
Each result is parsed again and compared with what it should say; where the narrow change is not possible (inside
`{…}`, with anchors) the next larger value is written anew.

Values are read as YAML 1.2 has it, and Pulumi: `yes`, `12:30`, `2026-11-24` are strings.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterator
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Keys and list indexes from the top of the document."""

_BYTE_ORDER_MARK = "\ufeff"
_INDENT = 2
_ABSENT = object()
_CORE_SCHEMA = {  # https://yaml.org/spec/1.2.2/#1032-tag-resolution: pattern, first characters
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
    "merge": (r"<<", "<"),
}  # fmt: skip


class EditError(ValueError):
    """The text does not allow the change."""


class _Loader(yaml.CSafeLoader):
    """Reads by the core schema alone; libyaml is ten times as fast as PyYAML's own parser."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than a string."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indents lists below their key."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Writes the same value twice rather than an anchor."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Writes text of several lines as a block, where one is possible."""
    style = dumper.default_style or ("|" if "\n" in text else None)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
for _tag, (_pattern, _first) in _CORE_SCHEMA.items():
    for _schema in (_Loader, _Dumper):
        _schema.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))
_Loader.add_constructor(
    "tag:yaml.org,2002:int",
    lambda _, node: int(node.value, 0 if node.value.startswith(("0o", "0x")) else 10),
)


def parse(text: str) -> Any:
    """The document as plain values; raises `yaml.YAMLError`, also for a key that is there twice."""
    return _unshared(_read(text)[1])


def edit(text: str, wanted: Any) -> str:
    """`text`, changed where it differs from the document `wanted`; raises `EditError` if that cannot be done."""
    if text.startswith(_BYTE_ORDER_MARK):  # which the parser does not count
        return _BYTE_ORDER_MARK + edit(text[1:], wanted)
    for path, value in _differences(parse(text), wanted):
        text = _change(text, path, value)
    return text


def line_of(text: str, path: Path) -> int | None:
    """The line, from 1, of the key or list item at `path`."""
    root, _ = _read(text)
    parent = _find(root, path[:-1])
    if not path or parent is None:
        return None if parent is None else parent.start_mark.line + 1
    if isinstance(parent, yaml.MappingNode):
        return next((key.start_mark.line + 1 for key, _ in parent.value if key.value == str(path[-1])), None)
    item = _find(root, path)
    return None if item is None else int(item.start_mark.line) + 1


@functools.lru_cache(maxsize=32)
def _read(text: str) -> tuple[yaml.Node | None, Any]:
    """Nodes and values of a text, for nobody to change. Kept: parsing is slow, and a change begins where one ended."""
    root = yaml.compose(text, _Loader)
    _refuse_duplicates(root)
    # Merging changes the nodes that values are made from.
    source = yaml.compose(text, _Loader) if "<<" in text else root
    return root, None if source is None else _Loader("").construct_document(source)


def _unshared(value: Any) -> Any:
    """A copy in which an alias is a value of its own; else a change of one would change all that refer to it."""
    if isinstance(value, dict):
        return {key: _unshared(child) for key, child in value.items()}
    return [_unshared(child) for child in value] if isinstance(value, list) else value


def _differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The smallest changes, in the order in which they can be made one by one; `_ABSENT` deletes."""
    if _same(old, new):
        return
    if old and new and isinstance(old, dict) and isinstance(new, dict):
        yield from (((*path, key), _ABSENT) for key in old if key not in new)
        for key, value in new.items():
            yield from _differences(old.get(key, _ABSENT), value, (*path, key))
    elif old and new and isinstance(old, list) and isinstance(new, list) and old[: len(new)] != new:
        yield from _list_differences(old, new, path)
    else:
        yield path, new


def _list_differences(old: list[Any], new: list[Any], path: Path) -> Iterator[tuple[Path, Any]]:
    remaining = iter(enumerate(old))
    kept = [next((i for i, candidate in remaining if _same(candidate, item)), None) for item in new]
    if None not in kept:  # only deletions
        yield from (((*path, i), _ABSENT) for i in reversed(range(len(old))) if i not in kept)
    elif len(new) >= len(old):
        for i, value in enumerate(new):
            yield from _differences(old[i] if i < len(old) else _ABSENT, value, (*path, i))
    else:
        yield path, new


def _change(text: str, path: Path, value: Any) -> str:
    """Make one change as narrowly as the text allows."""
    wanted = _with(parse(text), path, value)
    narrow = _remove(text, path) if value is _ABSENT else _put(text, path, value)
    if narrow is not None and _says(narrow, wanted):
        return narrow
    for depth in range(len(path) - 1, -1, -1):
        wider = _put(text, path[:depth], _at(wanted, path[:depth]))
        if wider is not None and _says(wider, wanted):
            return wider
    raise EditError(f"{'.'.join(map(str, path))} cannot be changed without touching the rest")


def _says(text: str, wanted: Any) -> bool:
    try:
        return _same(parse(text), wanted)
    except yaml.YAMLError:
        return False


def _same(one: Any, other: Any) -> bool:
    """Equality that tells `true` from 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _with(document: Any, path: Path, value: Any) -> Any:
    """A copy of `document` with `value` at `path`."""
    if not path:
        return value
    document = copy.deepcopy(document)
    parent = _at(document, path[:-1])
    if value is _ABSENT:
        del parent[path[-1]]
    elif isinstance(parent, list) and path[-1] == len(parent):
        parent.append(value)
    else:
        parent[path[-1]] = value
    return document


def _put(text: str, path: Path, value: Any) -> str | None:
    """Write `value` at `path`, whether there is one or not; None where only a wider change would do."""
    root, _ = _read(text)
    node, parent = _find(root, path), _find(root, path[:-1])
    if not path:
        return _render(value, 0, _newline(text)) if root is None else None
    if node is None:
        return _insert(text, parent, path[-1], value)
    if _is_inline(node) and (not _is_block(value) or isinstance(node, yaml.CollectionNode)):
        return text[: node.start_mark.index] + _inline(value, node) + text[node.end_mark.index :]
    if not isinstance(parent, yaml.MappingNode) or parent.flow_style:
        return None
    key = next(key for key, child in parent.value if child is node)
    return _hang(_without(text, node), key, value)


def _hang(text: str, key: yaml.Node, value: Any) -> str:
    """Write `value` behind or below a key of a block mapping that has none; comments behind the key stay."""
    colon = text.index(":", key.end_mark.index) + 1
    end = _line_end(text, colon)
    if isinstance(value, str) and "\n" in value:
        first, _, rest = _render({"key": value}, key.start_mark.column, _newline(text)).partition(_newline(text))
        return text[:colon] + first.partition(":")[2] + text[colon:end] + rest + text[end:]
    if not _is_block(value):
        return f"{text[:colon]} {_inline(value)}{text[colon:]}"
    return text[:end] + _render(value, key.start_mark.column + _INDENT, _newline(text)) + text[end:]


def _insert(text: str, parent: yaml.Node | None, key: str | int, value: Any) -> str | None:
    """Add an entry at the end of a block collection, before the comments that follow it."""
    if not isinstance(parent, yaml.CollectionNode) or parent.flow_style or not parent.value:
        return None
    entry = {key: value} if isinstance(parent, yaml.MappingNode) else [value]
    end = _line_end(text, _content_end(parent, text))
    broken = "" if text[:end].endswith("\n") else _newline(text)
    return text[:end] + broken + _render(entry, parent.start_mark.column, _newline(text)) + text[end:]


def _remove(text: str, path: Path) -> str | None:
    """Take the lines of an entry out of a block collection that has others."""
    parent = _find(_read(text)[0], path[:-1])
    if not isinstance(parent, yaml.CollectionNode) or parent.flow_style or len(parent.value) < 2:  # noqa: PLR2004
        return None
    if isinstance(parent, yaml.MappingNode):
        first, last = next((key, child) for key, child in parent.value if key.value == str(path[-1]))
    else:
        first = last = parent.value[int(path[-1])]
    start = _line_start(text, first.start_mark.index)
    return text[:start] + text[_line_end(text, _content_end(last, text)) :]


def _without(text: str, node: yaml.Node) -> str:
    """The text without a value that hangs on a key: its own lines, or what stands behind the colon."""
    start, end = node.start_mark.index, _content_end(node, text)
    before = text[_line_start(text, start) : start]
    if not before.strip():
        return text[: start - len(before)] + text[_line_end(text, end) :]
    return text[:start].rstrip(" ") + text[end:]


def _find(root: yaml.Node | None, path: Path) -> yaml.Node | None:
    node = root
    for step in path:
        if isinstance(node, yaml.MappingNode):
            node = next((child for key, child in node.value if key.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            return None
    return node


def _refuse_duplicates(node: yaml.Node | None) -> None:
    """Two equal keys are an error in YAML; the parser would silently take the second."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_duplicates(child)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is there twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
            _refuse_duplicates(child)


def _is_inline(node: yaml.Node) -> bool:
    if isinstance(node, yaml.ScalarNode):
        return node.style not in ("|", ">") and node.start_mark.index != node.end_mark.index
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _is_block(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _content_end(node: yaml.Node, text: str) -> int:
    """Where the node's own text ends; a block's end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _content_end(last[1] if isinstance(last, tuple) else last, text)
    end = node.end_mark.index
    return len(text[:end].rstrip()) if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") else end


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Behind the line feed of the line `index` is in."""
    return (text.find("\n", index) + 1) or len(text)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _render(value: Any, column: int, newline: str) -> str:
    """`value` as lines that begin at `column`."""
    lines = _dump(value, default_flow_style=False).splitlines()
    return "".join(f"{' ' * column if line else ''}{line}{newline}" for line in lines)


def _inline(value: Any, like: yaml.Node | None = None) -> str:
    """`value` on one line, a string in the quotes of the one it replaces."""
    style = like.style if isinstance(like, yaml.ScalarNode) and like.style in ("'", '"') else None
    if isinstance(value, str) and "\n" in value:
        style = '"'
    dumped = _dump(value, default_flow_style=True, default_style=style if isinstance(value, str) else None)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _dump(value: Any, **style: Any) -> str:
    # The width keeps long values (digests, ciphertexts) on their line.
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31, **style))
