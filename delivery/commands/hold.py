"""`slipway hold` and `slipway unhold`: an image that must not run in an environment, whatever the command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from adapters.errors import BadInput
from components.settings import EnvironmentSettings
from delivery import options
from delivery.decree import decree
from delivery.factory import Factory
from delivery.releases.access import open_store
from delivery.releases.artifact import Release
from delivery.releases.present import read_present
from delivery.workspace import Workspace

_HOLD_HELP = f"""Keep an image from running in STACK.

IMAGE is the digest of an image or 12 and more digits of one, a service, for what the stack's file names now, or a
release. Of a release those images are held that STACK does not run already, or all if it runs them all. It is written
into the stack's file and committed; from then on every engine and command refuses the image there, until
`slipway unhold`. What runs is not changed: `slipway rollback` does that, and holds what it replaces by itself.

\b
Examples:
  slipway hold prod v1.4.0 --reason "loses orders, ticket 311"
  slipway hold prod hello --reason "see 311"
  slipway hold stage sha256:1a2b3c4d5e6f --reason "wrong base image"

{options.EXIT_CODES}"""

_UNHOLD_HELP = f"""Let an image run in STACK again.

IMAGE is as for `slipway hold`: a digest or the beginning of one, a service, a release.

\b
Example:
  slipway unhold prod v1.4.0 --reason "it was the database"

{options.EXIT_CODES}"""

_DIGEST_PART = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")
_DIGEST_DIGITS, _SHOWN_DIGITS = 64, 12


@click.command(help=_HOLD_HELP)
@options.stack_argument
@click.argument("image")
@click.option("--reason", required=True, metavar="TEXT", help="Why; shown to whoever tries to run it.")
@options.as_option
@options.json_option
@options.common
@options.pass_factory
def hold(factory: Factory, stack: str, image: str, *, reason: str, name: str | None) -> None:
    """Keep an image from running in a stack."""
    why = reason.strip()
    if not why:
        raise BadInput("--reason is empty", fix='Such as --reason "loses orders, ticket 311"')
    workspace = factory.workspace()
    digests = _digests(workspace, stack, image)
    with decree(workspace, stack, "holding", name) as found:
        settings = found.settings
        new = [digest for digest in digests if settings.hold_on(digest) is None]
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if new:
            present: list[dict[str, Any]] = found.file.get(["holds"]) or []
            added = [{"digest": digest, "reason": why, "author": found.by, "at": at} for digest in new]
            found.file.set(["holds"], [*present, *added])
            found.message, found.reason = f"Hold {image} in {stack}", why
    facts = {
        "stack": stack,
        "changed": bool(new),
        "held": digests,
        "running": _running(settings, digests),
        "commit": found.commit,
    }
    factory.console.facts(facts, lambda: _held_lines(settings, digests, new))


@click.command(help=_UNHOLD_HELP)
@options.stack_argument
@click.argument("image")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the commit.")
@options.as_option
@options.json_option
@options.common
@options.pass_factory
def unhold(factory: Factory, stack: str, image: str, *, reason: str, name: str | None) -> None:
    """Let an image run in a stack again."""
    workspace = factory.workspace()
    digests = _digests(workspace, stack, image)
    with decree(workspace, stack, "unholding", name) as found:
        freed = [each for each in found.settings.holds if each.digest in digests]
        if not freed:
            held = [f"{_short(each.digest)} ({each.reason})" for each in found.settings.holds]
            raise BadInput(f"{image} is not on hold in {stack}", allowed=", ".join(held) or "nothing is on hold there")
        present: list[dict[str, Any]] = found.file.get(["holds"])
        if rest := [each for each in present if each.get("digest") not in digests]:
            found.file.set(["holds"], rest)
        else:
            found.file.delete(["holds"])
        was = [f"{each.digest} was held: {each.reason} ({each.author})" for each in freed]
        found.message = f"Let {image} run in {stack} again"
        found.reason = "\n".join(filter(None, [reason.strip(), *was]))
    facts = {
        "stack": stack,
        "changed": True,
        "freed": [each.digest for each in freed],
        "commit": found.commit,
    }
    lines = [f"{each.digest} may run in {stack} again; it was held: {each.reason} ({each.author})" for each in freed]
    factory.console.facts(facts, lambda: lines)


def _digests(workspace: Workspace, stack: str, image: str) -> list[str]:
    """The digests of images that a person means; the registry is asked only for what no stack file says."""
    settings = workspace.environment(stack)
    if image in settings.services and (named := settings.images.get(image)) is not None and named.digest:
        return [named.digest]
    if part := _DIGEST_PART.fullmatch(image):
        known = _known(workspace, settings)
        if found := sorted(digest for digest in known if digest.removeprefix("sha256:").startswith(part[1])):
            if len(found) > 1:
                raise BadInput(f"several images begin with {image}", allowed=", ".join(found))
            return found
    with open_store(workspace, stack) as (store, registry):
        if image in settings.services:
            references = read_present(workspace, store, registry, stack).references
            if image not in references:
                raise BadInput(f"{stack} names no image of {image}", where=str(workspace.path(stack)))
            return [str(references[image].digest)]
        if part and len(part[1]) == _DIGEST_DIGITS:
            release = store.get(f"sha256:{part[1]}")
            return [f"sha256:{part[1]}"] if release is None else _of_release(release, settings)
        return _of_release(store.find(image)[0], settings)


def _known(workspace: Workspace, settings: EnvironmentSettings) -> set[str]:
    """The digests that stack files name: what runs anywhere, and what is on hold here."""
    environments = [name for name, declared in workspace.stacks.items() if declared.kind == "environment"]
    named = {image.digest for name in environments for image in workspace.environment(name).images.values()}
    return {digest for digest in named if digest} | {each.digest for each in settings.holds}


def _of_release(release: Release, settings: EnvironmentSettings) -> list[str]:
    """What of a release to hold: a part that runs here already is not what is wrong with it."""
    images = sorted(set(release.services.values()))
    runs = {image.digest for image in settings.images.values()}
    return [digest for digest in images if digest not in runs] or images


def _running(settings: EnvironmentSettings, digests: Sequence[str]) -> list[str]:
    return [service for service, image in settings.images.items() if image.digest in digests]


def _held_lines(settings: EnvironmentSettings, digests: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    stack = settings.stack
    for digest in digests:
        before = settings.hold_on(digest)
        already = f" already: {before.reason} ({before.author})" if before else ""
        yield f"{digest} is on hold in {stack}{already}"
    if running := _running(settings, digests):
        yield (
            f"{stack} runs it now, as {', '.join(running)}: `slipway rollback {stack}` takes it away; until then "
            f"`slipway up {stack}` is refused"
        )
    if not new:
        yield "Nothing changed."


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHOWN_DIGITS]
