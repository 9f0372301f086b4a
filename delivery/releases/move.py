"""A stack's move to another release, step by step: what promotions and rollbacks have in common.

Pre-deploy commands, the stack file, a commit, the update, the verification, a record; the journal is written before
each. Whatever happens, the file, the cluster and the history (git's and the records') tell the same story at the end,
or the error says which of them does not and what mends it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from adapters.errors import BadInput, Locked, MachineUnfit, SlipwayError, Unreachable, UpdateFailed
from adapters.kubernetes import Kubernetes
from adapters.stackfile import StackFile
from components.settings import EnvironmentSettings
from delivery.releases import baking, pre_deploy
from delivery.releases.gates import configuration_hash
from delivery.releases.journal import Entry, Journal, Operation, Step
from delivery.releases.proof import Kind, Piece
from delivery.releases.records import FAILED, RESTORED, SUCCEEDED, write_record
from delivery.releases.signing import Signer
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

SUITE = "smoke"
"""What every move is verified by."""

_CUT_SHORT = "it was cut short"
_PAUSE_S = 1.0
_PASSING = (Locked.exit_code, Unreachable.exit_code)


@dataclass(frozen=True)
class Tools:
    """What a move works with. `update` brings a stack to its file; `verify` runs a suite and attaches its result."""

    workspace: Workspace
    store: ReleaseStore
    signer: Signer
    update: Callable[[str], object]
    verify: Callable[[str, str], Piece]
    connect: Callable[[EnvironmentSettings], Kubernetes]
    say: Callable[[str], None]
    patience_s: float
    """How long what leads back waits for a lock, or for an API server that is away."""


@dataclass
class Timings:
    """How long each step of a move took, seconds."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def step(self, name: str) -> None:
        """What has just ended."""
        now = time.monotonic()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._since, 3)
        self._since = now


class NotRestored(UpdateFailed):
    """A move failed, and so did bringing back what was before it."""


class Move:
    """Moves of one stack; its lock is held by the caller."""

    def __init__(self, tools: Tools, stack: str, timings: Timings | None = None) -> None:
        self._tools, self._stack = tools, stack
        self._path: Path = tools.workspace.path(stack)
        self._repository = tools.workspace.repository
        self._journal = Journal(self._repository, stack)
        self.timings = timings or Timings()

    # What is done

    def run(self, entry: Entry, file: StackFile) -> None:
        """Carry out what was decided upon `file` as it was then read.

        Raises what a step before the file was written failed with, when nothing was changed; after that `UpdateFailed`
        that says what was restored, or `NotRestored`.
        """
        entry = self._pre_deploy(entry)
        try:
            content = self._write(entry, file)
        except SlipwayError:
            self._journal.clear()
            raise
        self._go_on(entry, content)

    def recover(self) -> str | None:
        """Bring a move that was cut short to its end, see `journal` for the rule; a sentence on what was done."""
        entry = self._journal.read()
        if entry is None:
            return None
        self._tools.say(f"{entry}, was cut short (step: {entry.step}); it is brought to its end first")
        if entry.step is Step.PRE_DEPLOY:
            return self._forget(entry)
        must_go_on = entry.operation is Operation.ROLLBACK or bool(entry.irreversible)
        if entry.step is not Step.RESTORE and (must_go_on or entry.is_updated):
            return self._complete(entry)
        return self._restore(entry, entry.error or _CUT_SHORT)

    # Steps

    def _pre_deploy(self, entry: Entry) -> Entry:
        settings = self._tools.workspace.environment(self._stack)
        services = pre_deploy.needed(settings, entry.before, entry.after)
        if not services or entry.operation is Operation.ROLLBACK:
            return entry
        entry = entry.at(Step.PRE_DEPLOY, irreversible=pre_deploy.irreversible(settings, services))
        with contextlib.closing(self._tools.connect(settings)) as kube:
            self._journal.write(entry)
            try:
                for service in services:
                    pre_deploy.run(kube, settings, service, entry.after[service], self._tools.say)
            except SlipwayError as error:
                self._record_if_possible(entry, FAILED, error.paragraph())
                self._journal.clear()
                raise
        self.timings.step(Step.PRE_DEPLOY)
        return entry

    def _write(self, entry: Entry, file: StackFile) -> bytes:
        """Write the images, what bakes, and the holds of a rollback; what the file then holds."""
        self._journal.write(entry.at(Step.WRITE))
        _set(file, entry.after, entry.bakes, entry.holds)
        file.save()
        return file.content

    def _go_on(self, entry: Entry, content: bytes) -> None:
        """From the file that was written to the end."""
        try:
            self._journal.write(entry.at(Step.COMMIT))
            self._repository.commit([self._path], _message(entry), expect={self._path: content})
            self.timings.step("write")
        except (Exception, KeyboardInterrupt) as error:
            self._take_back_write(entry, error)
            raise
        try:
            self._update(entry)
        except Exception as error:  # whatever it is, the environment must not stay in between
            self._fail(entry, error)
        self._finish(entry)

    def _update(self, entry: Entry) -> None:
        self._journal.write(entry.at(Step.UPDATE))
        if not self._repository.is_clean(self._path):
            raise BadInput(f"{self._path.name} was changed meanwhile by somebody else")
        if entry.operation is Operation.ROLLBACK:
            self._update_patiently()
        else:
            self._tools.update(self._stack)
        self.timings.step(Step.UPDATE)

    def _finish(self, entry: Entry) -> None:
        """Verify what runs, and record how it went."""
        if entry.step is not Step.RECORD:
            entry = entry.at(Step.VERIFY)
            self._journal.write(entry)
            try:
                self._verify()
            except Exception as error:
                self._fail(entry, error)
        entry = entry.at(Step.RECORD)
        self._journal.write(entry)
        self._record(entry, SUCCEEDED)
        self._journal.clear()
        self.timings.step(Step.RECORD)

    def _verify(self) -> None:
        piece = self._tools.verify(self._stack, SUITE)
        self.timings.step(Step.VERIFY)
        if piece.predicate.get("result") != "pass":
            note = str(piece.predicate.get("note") or "see above")
            raise UpdateFailed(f"the {SUITE} suite failed in {self._stack}: {note}")
        if piece.fault is not None:
            raise UpdateFailed(f"the verification of {self._stack} does not count: {piece.fault}")

    def _record(self, entry: Entry, result: str, note: str = "") -> None:
        kind = Kind.ROLLBACK if entry.operation is Operation.ROLLBACK else Kind.DEPLOYMENT
        try:
            piece = write_record(
                self._tools.store,
                self._tools.signer,
                kind=kind,
                stack=self._stack,
                release=entry.release,
                origin=entry.origin,
                name=entry.name,
                result=result,
                by=entry.by,
                reason=entry.reason,
                started=datetime.fromisoformat(entry.started),
                configuration=configuration_hash(self._tools.workspace.environment(self._stack)),
                override=entry.override,
                cause=entry.cause,
                irreversible=entry.irreversible,
                note=note,
                alert=entry.alert,
                steps=self.timings.seconds,
            )
        except SlipwayError as error:
            raise UpdateFailed(
                f"{self._names()}, and its cluster runs it; only the record of it ({result}) could not be written: "
                f"{error.paragraph()}",
                where=f"stack {self._stack}",
                fix=f"`slipway rollback {self._stack} --recover` writes it",
            ) from error
        if piece.fault is not None:
            self._tools.say(f"the record of this does not count in {self._stack}: {piece.fault}")

    # What is done when something fails

    def _fail(self, entry: Entry, error: Exception) -> NoReturn:
        """Raises: after a failed promotion with what was restored, after a failed rollback with what there is."""
        why = _paragraph(error)
        if entry.operation is Operation.ROLLBACK:
            self._fail_rollback(entry, error, why)
        if entry.irreversible:
            self._leave_irreversible(entry, error, why)
        done = self._restore(entry, why)
        raise UpdateFailed(f"{self._stack} was not promoted to {entry.name}: {why.rstrip('.')}. Now {done}") from error

    def _restore(self, entry: Entry, why: str) -> str:
        """Bring back the images before, as a new commit, and the cluster with them; a sentence on what was done."""
        entry = entry.at(Step.RESTORE, error=why)
        self._tools.say(f"{why.splitlines()[0] if why else why} → back to {entry.origin_name}")
        done: list[str] = []
        try:
            with contextlib.suppress(MachineUnfit):  # what stands there leads to the same
                self._journal.write(entry)
            done.append(self._restore_file(entry))
            self._update_patiently()
            done.append("the cluster was updated")
            self._record(entry, RESTORED, why)
            done.append(f"it is recorded as {RESTORED}")
        except Exception as error:
            raise NotRestored(
                f"{self._stack} was not promoted to {entry.name}: {why.rstrip('.')}. Bringing it back to "
                f"{entry.origin_name} failed as well: {_paragraph(error).rstrip('.')}. "
                f"{self._story(entry, done)}",
                fix=f"`slipway rollback {self._stack} --recover` goes on with bringing it back",
            ) from error
        self._journal.clear()
        self.timings.step(Step.RESTORE)
        return f"{self._stack} is back on {entry.origin_name}: {', '.join(done)}"

    def _update_patiently(self) -> None:
        """Update, waiting for whoever else is doing that, or for an API server that is away for a while.

        What leads back is the one update that must not be left out.
        """
        deadline = time.monotonic() + self._tools.patience_s
        while True:
            try:
                self._tools.update(self._stack)
            except SlipwayError as error:
                if error.exit_code not in _PASSING or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return

    def _restore_file(self, entry: Entry) -> str:
        """The images before in the stack file, and in git; edits of others that nobody committed are set aside."""
        kept = self._set_edits_aside(entry)
        file = StackFile.load(self._path)
        present = file.get(["images"]) or {}
        if present not in (entry.before, entry.after):
            last = next(iter(self._repository.log(self._path, limit=1)), None)
            raise BadInput(
                f"{self._path.name} names other images by now: somebody changed them"
                + (f" (commit {last.sha[:12]} by {last.author}: {last.title})" if last else ""),
                fix="Decide which are to run, and bring them there with `slipway up`",
            )
        _set(file, entry.before, entry.baked, [])
        file.save()
        message = f"Restore {entry.origin_name} in {self._stack}\n\n{entry.name} failed: {entry.error}\n"
        head = self._repository.head
        sha = self._repository.commit([self._path], message, expect={self._path: file.content})
        done = "its file was as before" if sha == head else f"its file was restored in commit {sha[:12]}"
        return f"{done}; somebody's changes of it that were not committed are kept in {kept}" if kept else done

    def _set_edits_aside(self, entry: Entry) -> Path | None:
        """Keep what somebody else wrote into the file meanwhile: it is theirs, and nobody decided to let it run."""
        committed = self._repository.content(self._path)
        on_disk = self._path.read_bytes()
        if committed is None or on_disk == committed:
            return None
        ours = StackFile(self._path, committed)
        _set(ours, entry.after, entry.bakes, entry.holds)
        kept = None
        if on_disk != ours.content:
            kept = self._journal.keep_edits(on_disk)
        StackFile(self._path, on_disk).replace(committed)
        return kept

    def _take_back_write(self, entry: Entry, error: BaseException) -> None:
        """Nothing is committed yet, and the cluster knows nothing of it: the file becomes what it was."""
        try:
            kept = self._set_edits_aside(entry)
        except SlipwayError as second:
            raise NotRestored(
                f"the commit failed: {_paragraph(error).rstrip('.')}. {self._path.name} could not be put back: "
                f"{second.paragraph()}",
                fix=f"`slipway rollback {self._stack} --recover` tries it again",
            ) from error
        self._journal.clear()
        if kept:
            self._tools.say(f"somebody's changes of {self._path.name} are kept in {kept}")
        if isinstance(error, SlipwayError) and entry.irreversible:
            self._tools.say(f"the pre-deploy command of {', '.join(entry.irreversible)} has run, though")

    def _leave_irreversible(self, entry: Entry, error: Exception, why: str) -> NoReturn:
        """What was before would not work after such a command, so that going back needs a person's decision."""
        self._record(entry, FAILED, why)
        self._journal.clear()
        raise UpdateFailed(
            f"{self._stack} was promoted to {entry.name}, and that failed: {why.rstrip('.')}. It was not restored, "
            f"since the pre-deploy command of {', '.join(entry.irreversible)} cannot be undone: file and history name "
            f"{entry.name}, and the cluster has as much of it as it took",
            fix=f"Promote a release that mends it, or go back all the same with `slipway rollback {self._stack} "
            f"--to {entry.origin_name} --override --reason …`",
        ) from error

    def _fail_rollback(self, entry: Entry, error: Exception, why: str) -> NoReturn:
        if entry.is_updated:
            self._record(entry, FAILED, why)
            self._journal.clear()
            raise UpdateFailed(
                f"{self._stack} is back on {entry.name}, file, cluster and history alike, and it fails there too: "
                f"{why}",
                fix=f"See what else changed, or name another release: `slipway rollback {self._stack} --to RELEASE`",
            ) from error
        raise UpdateFailed(
            f"the update of {self._stack} back to {entry.name} failed: {why.rstrip('.')}. File and git's history name "
            f"{entry.name}; the cluster may run either",
            fix=f"`slipway rollback {self._stack} --recover` goes on with it",
        ) from error

    # What is done with what was found

    def _forget(self, entry: Entry) -> str:
        """A pre-deploy command was running; nothing else had begun."""
        settings = self._tools.workspace.environment(self._stack)
        with contextlib.closing(self._tools.connect(settings)) as kube:
            pre_deploy.remove(kube, self._stack)
        self._record_if_possible(entry, FAILED, "it was cut short in its pre-deploy command")
        self._journal.clear()
        return f"the promotion of {self._stack} to {entry.name} had only begun its pre-deploy command; nothing changed"

    def _complete(self, entry: Entry) -> str:
        if entry.is_updated:
            self._finish(entry)
        else:
            self._set_edits_aside(entry)
            file = StackFile.load(self._path)
            if (file.get(["images"]) or {}) not in (entry.before, entry.after):
                self._journal.clear()
                return f"the {entry.operation} of {self._stack} was given up: its file names other images by now"
            self._go_on(entry, self._write(entry, file))
        return f"the {entry.operation} of {self._stack} to {entry.name} was completed"

    def _record_if_possible(self, entry: Entry, result: str, note: str) -> None:
        try:
            self._record(entry, result, note)
        except SlipwayError as error:
            self._tools.say(error.paragraph())

    def _names(self) -> str:
        images = StackFile.load(self._path).get(["images"]) or {}
        return f"the file of {self._stack} names {', '.join(map(str, images.values()))}"

    def _story(self, entry: Entry, done: list[str]) -> str:
        """Which of file, git's history, cluster and records say what, as far as it is known."""
        images = _images_in(self._path.read_bytes(), self._path)
        committed = self._repository.content(self._path)
        said = {
            "the file": images,
            "git's history": _images_in(committed, self._path) if committed is not None else {},
        }
        names = {
            place: entry.origin_name
            if found == entry.before
            else entry.name
            if found == entry.after
            else "other images"
            for place, found in said.items()
        }
        runs = entry.origin_name if len(done) > 1 else f"{entry.origin_name} or {entry.name}, which is not known"
        told = ", ".join(f"{place} names {name}" for place, name in names.items())
        return f"{told[0].upper()}{told[1:]}, the cluster runs {runs}, and no record of it is written"


def _set(
    file: StackFile, images: Mapping[str, str], bakes: Mapping[str, Any] | None, holds: list[dict[str, str]]
) -> None:
    file.set(["images"], dict(images))
    baking.write(file, bakes)
    if holds:
        present: list[dict[str, Any]] = file.get(["holds"]) or []
        held = {hold.get("digest") for hold in present}
        file.set(["holds"], [*present, *(hold for hold in holds if hold["digest"] not in held)])


def _images_in(content: bytes, path: Path) -> dict[str, str]:
    images: dict[str, str] = StackFile(path, content).get(["images"]) or {}
    return images


def _message(entry: Entry) -> str:
    """A commit's message: what a person reads in a log, then what a program may want."""
    if entry.operation is Operation.ROLLBACK:
        title = f"Roll {entry.stack} back to {entry.name}"
    else:
        title = f"Promote {entry.name} to {entry.stack}"
    trailers = [f"Release: {entry.release}", f"Replaces: {entry.origin or 'no release'}", f"By: {entry.by}"]
    if entry.override:
        trailers.append(f"Override: {entry.override}")
    return "\n".join([title, "", *([entry.reason, ""] if entry.reason else []), *trailers])


def _paragraph(error: BaseException) -> str:
    if isinstance(error, SlipwayError):
        return error.paragraph()
    return f"unexpected {type(error).__name__}, which is a mistake in slipway itself"
