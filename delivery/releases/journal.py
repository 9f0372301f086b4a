"""What a promotion or rollback is about to do, written down before each step, so that one cut short comes to an end.

It lies in the git directory of the configuration: beside what it is about, and never part of a commit. There is one
for each stack, and a lock beside it: of two operations on one stack the second is refused, with the first one's name.

The rule for what is found: a promotion whose update had not been completed is taken back, since nobody knows what of it
runs; one whose update had been completed goes on with its verification. A rollback is always carried to its end: what
it leaves is what somebody wanted away. So is a promotion whose pre-deploy command cannot be undone: what was before it
would not work. A restoration that was begun is finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from adapters.errors import BadInput, Locked, MachineUnfit
from adapters.git import Repository


class Operation(StrEnum):
    """What moves a stack to another release."""

    PROMOTION = "promotion"
    ROLLBACK = "rollback"


class Step(StrEnum):
    """What is done, or was about to be done, when the journal was last written."""

    PRE_DEPLOY = "pre-deploy"
    WRITE = "write"
    COMMIT = "commit"
    UPDATE = "update"
    VERIFY = "verify"
    RECORD = "record"
    RESTORE = "restore"


@dataclass(frozen=True)
class Entry:
    """An operation on a stack, as it was decided: whoever finds it has all it takes to end it.

    `release` and `origin` are digests of releases: the one to run and the one before, None where that was no release.
    `before` and `after` are `slipway:images`, `baked` and `bakes` are `slipway:baking` before and after it, None where
    there is none; `holds` are added to the stack's. `irreversible` are the services whose pre-deploy command cannot be
    undone; `error` is why the earlier images are being restored. `alert` is what asked for a rollback, as its record
    keeps it.
    """

    operation: Operation
    stack: str
    release: str
    name: str
    origin: str | None
    origin_name: str
    before: dict[str, str]
    after: dict[str, str]
    by: str
    reason: str
    started: str
    step: Step
    override: str | None = None
    holds: list[dict[str, str]] = field(default_factory=list)
    baked: dict[str, Any] | None = None
    bakes: dict[str, Any] | None = None
    irreversible: list[str] = field(default_factory=list)
    cause: str = "person"
    error: str | None = None
    alert: dict[str, str] | None = None

    def at(self, step: Step, **changes: Any) -> Entry:
        """The same operation, about to do this step."""
        return replace(self, step=step, **changes)

    @property
    def is_updated(self) -> bool:
        """Whether the cluster had been brought to the new images altogether."""
        return self.step in (Step.VERIFY, Step.RECORD)

    def __str__(self) -> str:
        begun = datetime.fromisoformat(self.started).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"the {self.operation} of {self.stack} to {self.name}, begun {begun} by {self.by}"


class Journal:
    """The journal of one stack in the git directory of a configuration."""

    def __init__(self, repository: Repository, stack: str) -> None:
        self._stack = stack
        self._directory = repository.git_dir / "slipway"
        self.path = self._directory / f"{stack}.json"
        self._lock = self._directory / f"{stack}.lock"

    def read(self) -> Entry | None:
        """What was being done; None if everything came to its end."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return Entry(**found | {"operation": Operation(found["operation"]), "step": Step(found["step"])})
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise BadInput(
                "the journal of what was being done is not readable",
                where=str(self.path),
                fix=f"See what runs (`slipway status`, `slipway drift {self._stack}`), bring file and cluster in line "
                f"with `slipway up {self._stack}`, then remove the journal",
            ) from None

    def keep_edits(self, content: bytes) -> Path:
        """Keep what somebody wrote into the stack's file and did not commit; where it is kept."""
        self._directory.mkdir(exist_ok=True)
        kept = self.path.with_name(f"{self._stack}.edited-{datetime.now(UTC):%Y%m%d-%H%M%S}.yaml")
        kept.write_bytes(content)
        return kept

    def write(self, entry: Entry) -> None:
        """Write down what is about to be done; it is on the disk when this returns."""
        self._directory.mkdir(exist_ok=True)
        temporary = self.path.with_suffix(".new")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(asdict(entry), file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            _sync(self._directory)
        except OSError as error:
            raise MachineUnfit(f"the journal cannot be written ({error.strerror})", where=str(self.path)) from None

    def clear(self) -> None:
        """Everything came to its end."""
        self.path.unlink(missing_ok=True)
        if self._directory.is_dir():
            _sync(self._directory)

    @contextlib.contextmanager
    def lock(self, operation: str, by: str) -> Iterator[None]:
        """Keep others from moving this stack; raises `Locked`, naming who does. Ends with the process at the latest."""
        self._directory.mkdir(exist_ok=True)
        with self._lock.open("a+", encoding="utf-8") as file:
            if not _try_lock(file.fileno()):
                raise Locked(
                    f"{_holder(self._lock)} is moving the stack {self._stack}",
                    where=f"stack {self._stack}",
                    fix="Wait until that is done, then run the command again",
                )
            file.truncate(0)
            since = datetime.now(UTC).strftime("%H:%M:%S UTC")
            file.write(f"{by} ({operation}, process {os.getpid()} on {socket.gethostname()}, since {since})")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def interrupted(self) -> Entry | None:
        """An operation that was cut short; None if there is none, or if it is under way right now."""
        if not self.path.exists():
            return None
        with self._lock.open("a+", encoding="utf-8") as file:
            return self.read() if _try_lock(file.fileno()) else None


def interrupted(config_dir: Path, stack: str) -> str | None:
    """A sentence on what was cut short in a stack, and what brings it to its end; None if nothing was."""
    repository = Repository(config_dir)
    if not repository.is_repository or (entry := Journal(repository, stack).interrupted()) is None:
        return None
    return f"{entry}, was cut short (step: {entry.step}): `slipway rollback {stack} --recover` brings it to its end"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: Path) -> str:
    return lock.read_text(encoding="utf-8").strip() or "somebody"


def _sync(directory: Path) -> None:
    """A new name, or one that is gone, outlives a power cut only once the directory is written."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
