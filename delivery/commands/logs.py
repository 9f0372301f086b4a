"""`slipway logs`: what a service wrote, from the store of logs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from adapters.errors import BadInput
from components.settings import MonitoringSettings
from delivery import options
from delivery.factory import Factory
from delivery.logs import Entry, Logs, Question
from delivery.releases.alerts import watcher_of
from delivery.workspace import Workspace

_PAUSE_S = 1.0

_HELP = f"""Show what SERVICE wrote in the environment STACK, the oldest first, of pods that are gone, too.

Entries come from the store that the stack of kind `monitoring` keeps (slipway:logs), by way of its API server.
An entry is there within a few seconds, with all lines of a traceback. --grep looks at entries as they were written, so
that a request id finds its request. Times are UTC.
With --json: stack, service, store, since, entries (time, level, pod, text, fields); with --follow one entry a line.

\b
Examples:
  slipway logs prod hello --since 15m
  slipway logs prod hello --since 1d --grep 4f1c2a9e
  slipway logs stage hello --follow --grep '"code": 5'

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stack_argument
@click.argument("service", metavar="SERVICE")
@click.option("--since", default="1h", show_default=True, metavar="LENGTH", help="How far back: 30m, 2h, 3d.")
@click.option("--grep", "pattern", metavar="PATTERN", help="Only entries that match a regular expression.")
@click.option("--limit", type=click.IntRange(1, 5000), default=1000, show_default=True, help="The latest so many.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted.")
@options.json_option
@options.common
@options.pass_factory
def logs(
    factory: Factory, stack: str, service: str, *, since: str, pattern: str | None, limit: int, follow: bool
) -> None:
    """Show what a service wrote."""
    began = datetime.now(UTC) - _length(since)
    workspace = factory.workspace()
    watcher = _watcher(workspace, stack, service)
    with contextlib.closing(factory.seams.connect(watcher)) as kube:
        store = watcher.logs.store
        found = Logs(kube, store, Question(stack, service, pattern))
        if follow:
            for entry in found.follow(began, _pauses()):
                factory.console.one(entry.to_json(), _lines(entry))
            return
        entries = found.read(began, limit)
        facts = {
            "stack": stack,
            "service": service,
            "store": store,
            "since": began.isoformat(timespec="seconds"),
            "entries": [entry.to_json() for entry in entries],
        }
        factory.console.facts(facts, lambda: _all_lines(entries, limit))


def _watcher(workspace: Workspace, stack: str, service: str) -> MonitoringSettings:
    """The stack that keeps the environment's logs."""
    settings = workspace.environment(stack)
    if service not in settings.services:
        raise BadInput(
            f"there is no service {service!r} in {stack}",
            where=str(workspace.path(stack)),
            allowed=", ".join(settings.services) or "none, since it has no services",
        )
    if (watcher := watcher_of(workspace, stack)) is None:
        raise BadInput(
            f"no stack of kind `monitoring` keeps the logs of {stack}",
            where=str(workspace.config_dir),
            fix="Name it in slipway:environments of such a stack",
        )
    return watcher


def _length(text: str) -> timedelta:
    if (length := options.length(text)) is None:
        raise BadInput(f"{text!r} is no length of time", where="--since", allowed="such as 30m, 2h, 3d")
    return length


def _pauses() -> Iterator[None]:
    while True:
        yield
        time.sleep(_PAUSE_S)


def _all_lines(entries: list[Entry], limit: int) -> Iterator[str]:
    if not entries:
        yield "Nothing was written in that time."
    if len(entries) == limit:
        yield f"The latest {limit} entries; see more with --limit, or fewer with --since or --grep."
    for entry in entries:
        yield from _lines(entry)


def _lines(entry: Entry) -> Iterator[str]:
    moment = entry.time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    first, *others = entry.message.splitlines() or [""]
    yield f"{moment} {entry.level.upper():<7} {entry.pod}  {first}"
    yield from (f"    {line}" for line in others)
