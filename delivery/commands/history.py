"""`slipway history`: which releases an environment had, or what the engine did to a stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from components.settings import EnvironmentSettings
from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.releases.access import open_store
from delivery.releases.journal import interrupted
from delivery.releases.proof import Kind, Piece
from delivery.releases.reconciled import unreconciled
from delivery.releases.records import Known, Record, read_records
from delivery.releases.store import ReleaseStore
from delivery.stack import Update
from delivery.workspace import Workspace

_KIND = "environment"

_HELP = f"""List what went into an environment, the latest first: which release, how it ended, how long it took, by
whom and why, what is proven of it, whether gates were overridden, and whether it is on hold now.

It is read from the signed records in the registry, so it is the same with either engine. A record that does not count
is shown with what is wrong with it. With --updates, and for a stack that is no environment: what the engine recorded.
What git's main lacks of it is called unreconciled. With --json: stack, interrupted, unreconciled, holds, releases
(name, release, from, kind, result, started, ended, seconds, steps, by, reason, cause, alert, override, proof, hold,
irreversible, signed_by, fault), or updates.

\b
Examples:
  slipway history prod
  slipway history prod --limit 5 --json
  slipway history prod --updates

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stack_argument
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many. [default: all]")
@click.option("--updates", is_flag=True, help="What the engine recorded, instead.")
@options.json_option
@options.common
@options.pass_factory
def history(factory: Factory, stack: str, *, limit: int | None, updates: bool) -> None:
    """Show which releases went in, by whom, and how it ended."""
    workspace = factory.workspace()
    (declared,) = workspace.select([stack])
    if updates or declared.kind != _KIND:
        _show_updates(factory, workspace, stack, limit)
    else:
        _show_releases(factory, workspace, stack, limit)


def _show_updates(factory: Factory, workspace: Workspace, stack: str, limit: int | None) -> None:
    found = workspace.manage(stack).history(limit)
    facts = {
        "stack": stack,
        "engine": workspace.engine_of(stack),
        "updates": [update.to_json() for update in found],
    }
    factory.console.facts(facts, lambda: _update_lines(found))


def _show_releases(factory: Factory, workspace: Workspace, stack: str, limit: int | None) -> None:
    settings = workspace.environment(stack)
    with open_store(workspace, stack) as (store, registry):
        known = read_records(store, registry, stack)
        rows = sorted([*known.records, *known.faulty], key=lambda record: record.ended, reverse=True)[:limit]
        holds = _holds(store, settings, {row.release for row in rows})
    facts = {
        "stack": stack,
        "interrupted": interrupted(workspace.config_dir, stack),
        "unreconciled": unreconciled(workspace.config_dir, workspace.path(stack)),
        "releases": [
            row.to_json() | {"proof": _proven(known, row.release), "hold": holds.get(row.release)} for row in rows
        ],
        "holds": [hold.model_dump(mode="json", exclude_none=True) for hold in settings.holds],
    }
    factory.console.facts(facts, lambda: _release_lines(rows, facts))


def _holds(store: ReleaseStore, settings: EnvironmentSettings, releases: set[str]) -> Mapping[str, str]:
    """Why a release may not run there now, for those that may not."""
    found: dict[str, str] = {}
    for digest in releases if settings.holds else ():
        release = store.get(digest)
        for image in release.services.values() if release else ():
            if hold := settings.hold_on(image):
                found[digest] = f"{hold.reason} ({hold.author})"
    return found


def _proven(known: Known, release: str) -> list[str]:
    """What is said of a release and counts, each kind and place once: its latest word."""
    said: dict[str, str] = {}
    for piece in known.proof.get(release, ()):
        if piece.counts and (key := _claim(piece)):
            said[key] = "" if piece.predicate.get("result", "pass") == "pass" else " FAILED"
    return [f"{key}{result}" for key, result in said.items()]


def _claim(piece: Piece) -> str:
    stack = piece.predicate.get("stack")
    match piece.kind:
        case Kind.VERIFICATION:
            return f"{piece.predicate.get('suite')} in {stack}"
        case Kind.SOAK:
            return f"soak in {stack}"
        case Kind.SIGN_OFF:
            return f"sign-off for {stack} by {piece.signed_by}"
        case Kind.BOOTSTRAP:
            return "bootstrap"
    return ""


def _release_lines(rows: Sequence[Record], facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["interrupted"]:
        yield from (facts["interrupted"], "")
    if facts["unreconciled"]:
        yield from (f"unreconciled, since git's main lacks: {', '.join(facts['unreconciled'])}", "")
    if not rows:
        yield "No release was promoted yet."
        return
    cells = [_release_row(row, shown) for row, shown in zip(rows, facts["releases"], strict=True)]
    yield from table(cells, ("when (UTC)", "release", "what", "result", "took", "by", "proof", "why"))


def _release_row(row: Record, shown: Mapping[str, Any]) -> Sequence[str]:
    remarks = [
        f"OVERRIDDEN {row.override}" if row.override else row.reason,
        f"ON HOLD: {shown['hold']}" if shown["hold"] else "",
        f"DOES NOT COUNT: {row.fault}" if row.fault else "",
        f"cause {row.cause}" if row.cause != "person" else "",
    ]
    return (
        row.ended.strftime("%Y-%m-%d %H:%M:%S"),
        row.name or row.release.removeprefix("sha256:")[:12],
        "rollback" if row.kind is Kind.ROLLBACK else "promotion",
        row.result,
        f"{row.took.total_seconds():.1f} s",
        row.by,
        ", ".join(shown["proof"]),
        "; ".join(filter(None, remarks)),
    )


def _update_lines(updates: list[Update]) -> list[str]:
    if not updates:
        return ["Nothing was done yet."]
    return table(map(_update_row, updates), ("#", "when (UTC)", "what", "result", "took", "changes", "message"))


def _update_row(update: Update) -> tuple[str, ...]:
    took = f"{(update.ended - update.started).total_seconds():.1f} s" if update.ended else ""
    changes = ", ".join(f"{count} {op}" for op, count in update.counts.items() if op != "same" and count)
    when = update.started.strftime("%Y-%m-%d %H:%M:%S")
    return (
        str(update.version or ""),
        when,
        update.kind,
        update.result,
        took,
        changes,
        update.message.splitlines()[0][:60] if update.message else "",
    )
