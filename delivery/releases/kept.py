"""What was read of a registry before, kept on this machine: the same proof is asked for by every command.

Only what cannot change is kept: manifests and blobs by digest, and pieces of proof, whose tags hold the beginning of
theirs. What is found here is judged like anything else, so whoever writes here can make nothing count.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from adapters.registry import digest_of
from delivery.releases.proof import Tag


class Kept:
    """A folder of contents, each in a file called like what names it. Any number of processes may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def through(self, reference: str, read: Callable[[], bytes | None]) -> bytes | None:
        """What a digest or the tag of a piece names: as it was kept, else as `read` gives it, which is kept then."""
        path = self._folder / reference.replace(":", "-")
        with contextlib.suppress(OSError):
            if _is_named(content := path.read_bytes(), reference):
                return content
        found = read()
        if found is not None and _is_named(found, reference):
            with contextlib.suppress(OSError):  # a full disk, a read-only home: it is read again the next time
                self._write(path, found)
        return found

    def _write(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)


def _is_named(content: bytes, reference: str) -> bool:
    """Whether the content is what its name says."""
    tag = Tag.parse(reference)
    return digest_of(content).startswith(f"sha256:{tag.own}") if tag else digest_of(content) == reference
