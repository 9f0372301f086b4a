"""One stack in the hands of an engine: the operations of the Automation API, their results and errors as ours.

The same calls go to the Pulumi CLI and to the local engine. What only one of them could do is not used.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pulumi.automation import EngineEvent, StepEventMetadata
from pulumi.automation import Stack as AutomationStack
from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError

from adapters.errors import BadInput, Locked, SlipwayError, UpdateFailed
from adapters.paths import REPOSITORY

OnLine = Callable[[str], None]

_POLICIES = [str(REPOSITORY / "policies")]
_UNCHANGED = frozenset({"same", "read", "read-discard", "discard-read", "refresh"})
_SHOWN_LINES = 20
_WRONG_PASSPHRASE = re.compile(r"incorrect passphrase|passphrase must be set", re.IGNORECASE)
_CLI_ERROR = re.compile(r"^\s*error: ", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """What happens, or would happen, to one object; `fields` are the paths that differ."""

    op: str
    object: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.object} ({', '.join(self.fields)})" if self.fields else f"{self.object} ({self.op})"


@dataclass(frozen=True)
class Outcome:
    """How an operation ended: the number of objects for each kind of change, and the changes where they are known."""

    counts: Mapping[str, int]
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, changed."""
        return bool(self.changes) or any(n and op not in _UNCHANGED for op, n in self.counts.items())

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        changes = [{"op": c.op, "object": c.object, "fields": list(c.fields)} for c in self.changes]
        return {"changed": self.changed, "counts": dict(self.counts), "changes": changes}


@dataclass(frozen=True)
class Update:
    """An entry of a stack's history."""

    version: int | None
    kind: str
    started: datetime
    ended: datetime | None
    result: str
    message: str
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are UTC."""
        return {
            "version": self.version,
            "kind": self.kind,
            "started": f"{self.started.isoformat()}Z",
            "ended": f"{self.ended.isoformat()}Z" if self.ended else None,
            "result": self.result,
            "message": self.message,
            "counts": dict(self.counts),
        }


class ManagedStack:
    """A stack and its engine. `on_line` is given each line of the engine's output as it comes."""

    def __init__(self, stack: AutomationStack) -> None:
        self._stack = stack
        self.name = stack.name

    def up(self, on_line: OnLine, message: str) -> Outcome:
        """Bring the cluster to what is declared; raises `UpdateFailed` and all that an engine refuses with."""
        with self._translated():
            result = self._stack.up(
                message=message, policy_packs=_POLICIES, on_output=on_line, color="never", show_secrets=False
            )
        return Outcome(_counts(result.summary.resource_changes))

    def preview(self, on_line: OnLine) -> Outcome:
        """What `up` would do."""
        steps = _Steps()
        with self._translated():
            result = self._stack.preview(
                policy_packs=_POLICIES, on_output=on_line, on_event=steps, color="never", diff=True
            )
        return Outcome(_counts(result.change_summary), steps.changes)

    def drift(self, on_line: OnLine) -> Outcome:
        """How the cluster differs from what was applied last; changes nothing, also not the record."""
        steps = _Steps()
        with self._translated():
            result = self._stack.preview_refresh(on_output=on_line, on_event=steps, color="never", diff=True)
        return Outcome(_counts(result.change_summary), steps.changes)

    def down(self, on_line: OnLine, message: str) -> Outcome:
        """Delete all that the stack has; refused while anything is protected."""
        with self._translated():
            result = self._stack.destroy(message=message, on_output=on_line, color="never", show_secrets=False)
        return Outcome(_counts(result.summary.resource_changes))

    def resources(self) -> list[Mapping[str, Any]]:
        """What the engine knows the stack to have, as `pulumi stack export` shows it."""
        with self._translated():
            deployment = self._stack.export_stack().deployment or {}
        return list(deployment.get("resources") or ())

    def protected(self) -> list[str]:
        """The objects that are protected from deletion."""
        return [_name(r["urn"], "") for r in self.resources() if r.get("protect")]

    def unprotect(self) -> None:
        """Let everything be deleted; for the Automation API there is no method, it is a command of its own."""
        workspace = self._stack.workspace
        arguments = ["state", "unprotect", "--all", "--yes", "--stack", self.name]
        with self._translated():
            workspace.pulumi_command.run(arguments, workspace.work_dir, workspace.env_vars)

    def history(self, limit: int | None = None) -> list[Update]:
        """What the engine recorded, the latest first."""
        with self._translated():
            found = self._stack.history(page_size=limit, show_secrets=False)
        return [
            Update(u.version, u.kind, u.start_time, u.end_time, u.result, u.message, _counts(u.resource_changes))
            for u in found
        ]

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except CommandError as error:
            raise failure_of(error, self.name) from error


class EngineFailed(SlipwayError):
    """What an engine process ended with: its own paragraph and exit code."""

    def __init__(self, paragraph: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(paragraph)

    def paragraph(self) -> str:
        """As the engine wrote it."""
        return self.what


def failure_of(error: Exception, stack: str) -> Exception:
    """The error of an engine as ours; anything else as it is.

    The local engine's errors carry paragraph and code; those of the Pulumi CLI are told apart by the SDK's classes.
    """
    code, paragraph = getattr(error, "code", None), getattr(error, "stderr", None)
    if isinstance(code, int) and isinstance(paragraph, str):
        return EngineFailed(paragraph.strip() or f"the engine ended with code {code} and said nothing", code)
    if not isinstance(error, CommandError):
        return error
    text = str(error)
    if isinstance(error, ConcurrentUpdateError):
        return Locked("somebody else is updating the stack", where=f"stack {stack}", fix=_cli_errors(text))
    if isinstance(error, StackNotFoundError):
        return error
    if _WRONG_PASSPHRASE.search(text):
        return BadInput(
            "the passphrase does not open the secrets of the stack",
            where=f"stack {stack}",
            fix="Set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE to the name of a file that holds it",
        )
    return UpdateFailed(_cli_errors(text), where=f"stack {stack}")


class _Steps:
    """Collects what the events say of each object that is not as it should be."""

    def __init__(self) -> None:
        self._found: dict[str, Change] = {}

    def __call__(self, event: EngineEvent) -> None:
        if event.res_outputs_event is not None:
            self._take(event.res_outputs_event.metadata)
        elif event.resource_pre_event is not None:
            self._take(event.resource_pre_event.metadata)

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(self._found.values())

    def _take(self, step: StepEventMetadata) -> None:
        if step.op.value in _UNCHANGED:
            return
        state = step.new or step.old
        fields = tuple(dict.fromkeys([*(step.detailed_diff or ()), *(step.diffs or ())]))
        self._found[step.urn] = Change(step.op.value, _name(step.urn, state.id if state else ""), fields)


def _name(urn: str, identifier: str) -> str:
    """An object as people call it: `Deployment prod/hello`."""
    *_, kind, name = urn.split("::", 3)
    return f"{kind.rpartition(':')[2]} {identifier or name}"


def _counts(changes: Mapping[Any, int] | None) -> dict[str, int]:
    return {str(getattr(op, "value", op)): count for op, count in (changes or {}).items()}


def _cli_errors(text: str) -> str:
    """What of the CLI's output is errors: the last lines from the first one on."""
    found = _CLI_ERROR.search(text)
    lines = [line.strip() for line in text[found.start() if found else 0 :].splitlines() if line.strip()]
    return "\n".join(lines[:_SHOWN_LINES])
