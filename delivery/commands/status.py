"""`slipway status`: what runs where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import click

from adapters.errors import BadInput, SlipwayError
from adapters.registry import parse_reference
from components.monitoring import coverage
from components.settings import MonitoringSettings
from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.images import describe_image
from delivery.releases.journal import interrupted
from delivery.releases.reconciled import unreconciled
from delivery.workspace import DeclaredStack, Workspace

_HELP = f"""Show every stack with its last update and the images its file names, and the links of the local platform.

A cluster that does not answer is said of its stack; the command ends with 0. Alerts that are left out, since nothing
here gives the metrics they read, are named. With --json: config_dir, engine, cluster, links (name, url), receiver
(state, log; only beside the local platform), stacks (name, kind, engine, cluster, last_update, result, images, freeze,
holds, baking, left_out, unreconciled, problem), unwatched (what is missing: alerts; only with a stack that watches).

\b
Examples:
  slipway status
  slipway status --json

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.json_option
@options.common
@options.pass_factory
def status(factory: Factory) -> None:
    """Show what runs where."""
    workspace = factory.find()
    if workspace is None:
        nothing: dict[str, Any] = {
            "config_dir": None,
            "engine": None,
            "cluster": None,
            "links": [],
            "receiver": None,
            "stacks": [],
            "unwatched": {},
        }
        factory.console.facts(nothing, lambda: ["There is no local platform yet: `slipway up` makes it."])
        return
    with ThreadPoolExecutor() as executor:
        stacks = list(executor.map(lambda stack: _stack(workspace, stack), workspace.select(())))
    facts = {
        "config_dir": str(workspace.config_dir),
        "engine": _common(stack["engine"] for stack in stacks),
        "cluster": _common(stack["cluster"] for stack in stacks),
        "links": [{"name": name, "url": url} for name, url in workspace.platform.links().items()],
        "receiver": workspace.platform.receiver(),
        "stacks": stacks,
        "unwatched": {lack: alerts for stack in stacks for lack, alerts in stack.pop("unwatched").items()},
    }
    factory.console.facts(facts, lambda: _lines(facts))


def _stack(workspace: Workspace, stack: DeclaredStack) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": stack.name,
        "kind": stack.kind,
        "engine": None,
        "cluster": stack.cluster or None,
        "last_update": None,
        "result": None,
        "images": {},
        "freeze": None,
        "holds": [],
        "baking": None,
        "left_out": [],
        "unreconciled": [],
        "problem": None,
        "unwatched": {},
    }
    try:
        facts["images"] = _images(stack)
        facts["left_out"] = list(stack.file.get(["leaveOut"]) or [])
        facts["interrupted"] = interrupted(workspace.config_dir, stack.name)
        facts["unreconciled"] = unreconciled(workspace.config_dir, workspace.path(stack.name))
        facts |= _words(workspace, stack)
        if stack.kind == "monitoring":
            settings = workspace.settings(stack.name, complete=False)
            facts["unwatched"] = coverage.unwatched(settings) if isinstance(settings, MonitoringSettings) else {}
        facts["engine"] = workspace.engine_of(stack.name)
        for update in workspace.manage(stack.name).history(1):
            shown = update.to_json()
            facts |= {"last_update": shown["ended"] or shown["started"], "result": update.result}
    except SlipwayError as error:
        facts["problem"] = error.paragraph()
    return facts


def _words(workspace: Workspace, stack: DeclaredStack) -> dict[str, Any]:
    """What was said of the stack: until when it is frozen, what must not run there, until when its release bakes."""
    if not any(stack.file.get([key]) for key in ("freeze", "holds", "baking")):
        return {}
    settings = workspace.environment(stack.name)
    frozen = settings.freeze if settings.freeze and settings.freeze.is_on(datetime.now(UTC)) else None
    holds = [each.model_dump(mode="json", exclude_none=True) for each in settings.holds]
    words = {"freeze": frozen and frozen.model_dump(mode="json"), "holds": holds}
    return words | {"baking": stack.file.get(["baking"])}


def _images(stack: DeclaredStack) -> dict[str, Any]:
    images = stack.file.get(["images"]) or {}
    if not isinstance(images, dict):
        raise BadInput("this is no mapping of services to images", where=f"{stack.file.path}, slipway:images")
    return {service: describe_image(parse_reference(str(image))) for service, image in images.items()}


def _common(values: Iterable[str | None]) -> str | None:
    """The value all stacks have, None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = [f"configuration  {facts['config_dir']}", ""]
    rows = [_row(stack) for stack in facts["stacks"]]
    lines += table(rows, ("stack", "kind", "cluster", "engine", "last update (UTC)", "result", "images"))
    if facts["links"]:
        lines += ["", *table([(link["name"], link["url"]) for link in facts["links"]], ("link", "address"))]
    if receiver := facts["receiver"]:
        lines += ["", f"the receiver of alerts {receiver['state']}, log {receiver['log']}"]
    if words := [line for stack in facts["stacks"] for line in _word_lines(stack)]:
        lines += ["", *words]
    told = ("problem", "interrupted")
    problems = [f"{stack['name']}: {stack[key]}" for stack in facts["stacks"] for key in told if stack[key]]
    problems += [
        f"{stack['name']}: unreconciled, since git's main lacks {', '.join(stack['unreconciled'])}"
        for stack in facts["stacks"]
        if stack["unreconciled"]
    ]
    lines += [*([""] if problems else []), *problems]
    if facts["unwatched"]:
        rows = [(lack, ", ".join(alerts)) for lack, alerts in facts["unwatched"].items()]
        lines += ["", *table(rows, ("not there", "so these alerts are left out"))]
    return lines


def _word_lines(stack: dict[str, Any]) -> Iterable[str]:
    if freeze := stack["freeze"]:
        yield f"{stack['name']} is frozen until {freeze['until']}: {freeze['reason']} ({freeze['author']})"
    if baking := stack["baking"]:
        beside = ", ".join(baking.get("controls", {}).values())
        yield f"{stack['name']} bakes until {baking['until']}{f', beside {beside}' if beside else ''}"
    if stack["left_out"]:
        yield f"{stack['name']} does without {', '.join(stack['left_out'])}, as its file says (slipway:leaveOut)"
    for hold in stack["holds"]:
        yield f"{stack['name']} must not run {hold['digest'][:19]}: {hold['reason']} ({hold['author']})"


def _row(stack: dict[str, Any]) -> Sequence[str]:
    images = [
        f"{image['name']}:{image['tag'] or ''} {image['release'] or ''}".strip() for image in stack["images"].values()
    ]
    absent = "unknown" if stack["problem"] else "never"
    updated = (stack["last_update"] or absent).replace("T", " ").partition(".")[0]
    return (
        stack["name"],
        stack["kind"],
        stack["cluster"] or "",
        stack["engine"] or "",
        updated,
        stack["result"] or "",
        ", ".join(images),
    )
