"""The one writer of stack files, `Pulumi.<stack>.yaml`.

People write these files and review their changes, so a change touches its own value only: comments, order, quotes and
line breaks elsewhere stay as they are. A file is replaced whole or not at all, and never over a change of somebody
else's.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from adapters import yamledit
from adapters.errors import BadInput, MachineUnfit

PROJECT = "slipway"

KeyPath = Sequence[str | int]
"""Keys and list indexes below `config`; the first may leave out its `slipway:`."""


def stack_path(directory: Path, stack: str) -> Path:
    """Where the file of a stack is in a configuration directory."""
    return directory / f"Pulumi.{stack}.yaml"


def stack_names(directory: Path) -> list[str]:
    """The names of the stacks that have a file in a configuration directory."""
    return sorted(map(_stack_of, directory.glob("Pulumi.*.yaml")))


class StackFile:
    """A stack file in memory; `save` writes it back."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self._on_disk = content
        try:
            self._text = content.decode()
            document = _parse(self._text)
        except UnicodeDecodeError as error:
            raise BadInput(f"the file is not UTF-8 text (byte {error.start})", where=str(path)) from None
        except yaml.YAMLError as error:
            raise _malformed(path, error) from None
        self._document: dict[str, Any] = {} if document is None else document
        if not isinstance(self._document, dict) or not isinstance(self._document.get("config") or {}, dict):
            raise BadInput(
                "this is no stack file",
                where=str(path),
                allowed="a mapping with the key `config`, a mapping of configuration keys to values",
            )

    @classmethod
    def load(cls, path: Path) -> StackFile:
        """Read a stack file; raises `BadInput` if there is none, or naming the line where it is no YAML."""
        try:
            return cls(path, path.read_bytes())
        except FileNotFoundError:
            raise BadInput(
                "there is no such stack file",
                where=str(path),
                allowed=", ".join(stack_names(path.parent)) or "none is there",
                fix="Correct the stack's name or the configuration directory",
            ) from None
        except OSError as error:
            raise BadInput(f"the stack file cannot be read: {error.strerror}", where=str(path)) from None

    @property
    def stack(self) -> str:
        """The stack's name."""
        return _stack_of(self.path)

    @property
    def config(self) -> dict[str, Any]:
        """A copy of the configuration with full keys, as plain values; a secret is `{"secure": "v1:…"}`."""
        return copy.deepcopy(self._document.get("config") or {})

    @property
    def encryption_salt(self) -> str | None:
        """What opens the stack's secrets together with the passphrase; see `adapters.passphrase`."""
        salt = self._document.get("encryptionsalt")
        return None if salt is None else str(salt)

    @encryption_salt.setter
    def encryption_salt(self, salt: str) -> None:
        self._change(self._document | {"encryptionsalt": salt})

    def get(self, key_path: KeyPath) -> Any:
        """A copy of the value at `key_path`, None if there is none."""
        value: Any = self._document.get("config") or {}
        for step in _full(key_path):
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return copy.deepcopy(value)

    def set(self, key_path: KeyPath, value: object) -> None:
        """Put `value` at `key_path`; mappings on the way are made, what differs within a mapping or list is changed."""
        config = self.config
        *parents, last = _full(key_path)
        place: Any = config
        for step in parents:
            if isinstance(place, dict) and place.get(step) is None:
                place[step] = {}
            place = self._step(place, step, key_path)
        if isinstance(place, list) and last == len(place):
            place.append(None)
        exists = isinstance(place, list) and last in range(len(place))
        if not (exists or isinstance(place, dict)):
            raise self._no_place(key_path)
        place[last] = value
        self._change(self._document | {"config": config})

    def delete(self, key_path: KeyPath) -> None:
        """Remove the value at `key_path`; nothing happens if there is none."""
        if self.get(key_path) is None and self.line_of(key_path) is None:
            return
        config = self.config
        *parents, last = _full(key_path)
        place: Any = config
        for step in parents:
            place = place[step]
        del place[last]
        self._change(self._document | {"config": config})

    def line_of(self, key_path: KeyPath) -> int | None:
        """The line, from 1, where the value at `key_path` is set; for error messages."""
        return yamledit.line_of(self._text, ("config", *_full(key_path)))

    @property
    def content(self) -> bytes:
        """What `save` writes, or has written."""
        return self._text.encode()

    def replace(self, content: bytes) -> None:
        """Write another content in place of all there is; refused like any other change."""
        other = StackFile(self.path, content)
        self._text, self._document = other._text, other._document
        self.save()

    def save(self) -> None:
        """Write the file if anything changed: whole or not at all, with its mode kept.

        Raises `BadInput` if the file is no longer what was loaded, and `MachineUnfit` if the disk does not take it;
        then nothing is written.
        """
        content = self.content
        if content == self._on_disk:
            return
        path = self.path.resolve()
        try:
            with _locked(path.parent):
                if not path.exists() or path.read_bytes() != self._on_disk:
                    raise BadInput(
                        "the file was changed meanwhile by somebody else, nothing was written",
                        where=str(self.path),
                        fix="Look at the change and run the command again",
                    )
                _replace(path, content)
        except OSError as error:
            raise MachineUnfit(
                f"the stack file cannot be written ({error.strerror}), it is as it was", where=str(self.path)
            ) from None
        self._on_disk = content

    def _change(self, document: Mapping[str, Any]) -> None:
        wanted = copy.deepcopy(dict(document))
        try:
            self._text = yamledit.edit(self._text, wanted)
        except yamledit.EditError as error:
            raise BadInput(
                f"the file cannot be changed by itself: {error}",
                where=str(self.path),
                fix="Make the change by hand, or write the file without anchors",
            ) from None
        self._document = wanted

    def _step(self, place: Any, step: str | int, key_path: KeyPath) -> Any:
        try:
            return place[step]
        except (KeyError, IndexError, TypeError):
            raise self._no_place(key_path) from None

    def _no_place(self, key_path: KeyPath) -> BadInput:
        return BadInput(
            f"there is no place for {'.'.join(map(str, key_path))}: what is above it holds a single value",
            where=str(self.path),
        )


def _stack_of(path: Path) -> str:
    return path.name.removeprefix("Pulumi.").removesuffix(".yaml")


@functools.lru_cache(maxsize=64)
def _parse(text: str) -> Any:
    """What a text says; commands ask that of the same files many times. Nobody changes the value, only copies of it."""
    return yamledit.parse(text)


def _full(key_path: KeyPath) -> tuple[str | int, ...]:
    first, *rest = key_path
    return (first if ":" in str(first) else f"{PROJECT}:{first}", *rest)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other writers of this program out; the file itself cannot hold the lock since it is replaced."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    before = path.stat()
    # One name, which the lock makes ours: what a killed process leaves is overwritten by the next one.
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, before.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):  # only root may give files away, and only root needs to
                os.fchown(descriptor, before.st_uid, before.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """The new name outlives a power cut only once the directory is written, too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _malformed(path: Path, error: yaml.YAMLError) -> BadInput:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
    where = f"{path}, line {mark.line + 1}" if mark else str(path)
    return BadInput(f"the file is no valid YAML: {problem}", where=where, fix="Correct the line or the one above it")
