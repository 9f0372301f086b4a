"""`slipway release`: builds releases, gives them versions, shows them with their proof, and removes old ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adapters.errors import BadInput
from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.releases import catalogue
from delivery.releases.access import open_store
from delivery.releases.catalogue import Entry
from delivery.releases.people import signer_for
from delivery.releases.proof import Piece
from delivery.workspace import Workspace

if TYPE_CHECKING:
    from delivery.releases.build import BuiltRelease
    from delivery.releases.making import BuiltService
    from delivery.releases.prune import Plan

_SHORT = 19  # `sha256:` and twelve digits

_BUILD_HELP = """Build every service whose content changed, scan all of them, and push them as a release.

The source is a git repository with services/NAME/Dockerfile. Content that did not change keeps its digest, and gets
the commit's tag as well. Images are pushed as SERVICE:sha-COMMIT with signed provenance, bill of materials and scan,
then the release sha-COMMIT. A build that is cut short leaves no release; run it again and it goes on.

Files that are in no commit are refused; with --dirty they make a release that only test accepts. The scan needs a
vulnerability database: grype and pip-audit fetch theirs. Where one cannot look, the build ends with 5, unless
--allow-unscanned records just that; where it finds too much (slipway:scan), it ends with 4, and nothing is pushed.

\b
Examples:
  slipway release build
  slipway release build --source ~/shop --as ci
  slipway release build --dirty --allow-unscanned
  slipway release build --dry-run

\b
Exit codes: 0 done, 1 failed, 3 bad input or a Dockerfile that does not build,
4 refused: not committed, or found by the scan, 5 the registry or a source of
vulnerabilities is unreachable, 7 the machine lacks something."""

_TAG_HELP = f"""Give a release a version: the same digests, nothing is built.

RELEASE is sha-COMMIT, or the beginning of its digest. [default: the one of the commit that is checked out] Versions
are semantic ones and go up; --force allows one below the newest, for a correction of an older line. None is ever moved.
`latest` is the highest version that is no pre-release: a name for people, which no environment may run.

\b
Examples:
  slipway release tag v1.4.0
  slipway release tag v1.4.0-rc.1 sha-1a2b3c4d5e6f

{options.EXIT_CODES}"""

_LIST_HELP = f"""List the releases, the newest first, with the proof that counts.

{options.EXIT_CODES}"""

_SHOW_HELP = f"""Show a release with all its proof, and that of its images.

What does not count is shown with the reason: not signed, by an unknown key, of the wrong role, about something else,
or taken back by a later run.

\b
Examples:
  slipway release show v1.4.0
  slipway release show sha-1a2b3c4d5e6f --json

{options.EXIT_CODES}"""

_PULL_HELP = f"""Bring the images of a release to this machine.

They go into a Docker engine if one answers, with the credentials that `docker login` keeps; with --out, or without an
engine, into OCI archives SERVICE-TAG.tar.

\b
Examples:
  slipway release pull v1.4.0
  slipway release pull sha-1a2b3c4d5e6f hello --out /tmp

{options.EXIT_CODES}"""

_PRUNE_HELP = f"""Remove old releases from the registry, with their images and proof.

Kept are the N newest, the newest version, whatever an environment runs, and of each environment the N releases it was
verified with before, at least one, to which it may be rolled back. Images of no release are left alone. The space is
free once the registry has collected its garbage.

\b
Examples:
  slipway release prune --keep 20 --dry-run
  slipway release prune --keep 20 --yes

{options.EXIT_CODES}"""

stack_option = click.option(
    "--stack",
    metavar="STACK",
    help="The environment whose registry, signers and scan rules hold. [default: the last one in the order of updates]",
)


@click.group(help="Build releases, give them versions, show them with their proof, remove old ones.")
@options.common
def release() -> None:
    """Build, version, list, show, pull and prune releases."""


@release.command(help=_BUILD_HELP)
@click.option(
    "--source",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The repository. [default: the one we are in, if it has services; else this checkout]",
)
@click.option("--dirty", is_flag=True, help="Also of files that are in no commit.")
@click.option("--rebuild", is_flag=True, help="Also what did not change, on the base images of today.")
@click.option("--with", "tool", type=click.Choice(["docker", "buildah"]), help="[default: docker where it answers]")
@click.option("--allow-unscanned", is_flag=True, help="Where nobody can look for vulnerabilities, record that.")
@click.option("--dry-run", is_flag=True, help="Build and scan everything, and push nothing: needs no key.")
@stack_option
@options.as_option
@options.json_option
@options.common
@options.pass_factory
def build(
    factory: Factory,
    source: Path | None,
    *,
    dirty: bool,
    rebuild: bool,
    tool: str | None,
    allow_unscanned: bool,
    dry_run: bool,
    stack: str | None,
    name: str | None,
) -> None:
    """Build a release."""
    # Few commands need what builds and scans, and every command waits for what is imported here.
    from delivery.releases import builders  # noqa: PLC0415
    from delivery.releases import source as sources  # noqa: PLC0415
    from delivery.releases.build import ReleaseBuild  # noqa: PLC0415
    from delivery.releases.making import BuildOptions, Making  # noqa: PLC0415
    from delivery.releases.scanners import Programs, Scanners  # noqa: PLC0415
    from local import scan  # noqa: PLC0415

    with sources.open_source(sources.find_directory(source), dirty=dirty) as found:
        workspace = factory.workspace()
        stack = _stack(workspace, stack)
        making = Making(
            source=found,
            builder=builders.choose(tool),
            scanners=Scanners(Programs(scan.syft, scan.grype, scan.pip_audit)),
            rules=workspace.environment(stack).scan,
            options=BuildOptions(rebuild=rebuild, allow_unscanned=allow_unscanned),
        )
        if dry_run:
            services = making.try_out()
            facts = {"tag": found.tag, "commit": found.commit, "services": _service_facts(services), "pushed": False}
            factory.console.facts(facts, lambda: _service_lines(services))
            return
        signer = signer_for(workspace, "builder", name)
        with open_store(workspace, stack) as (store, registry):
            built = ReleaseBuild.of(making, store, registry, signer).run()
    factory.console.facts(_built_facts(built), lambda: _built_lines(built))


@release.command(help=_TAG_HELP)
@click.argument("version", metavar="VERSION")
@click.argument("named", required=False, metavar="[RELEASE]")
@click.option("--force", is_flag=True, help="Also a version below the newest.")
@stack_option
@options.json_option
@options.common
@options.pass_factory
def tag(factory: Factory, version: str, named: str | None, *, force: bool, stack: str | None) -> None:
    """Give a release a version."""
    from delivery.releases import source as sources  # noqa: PLC0415 - see above
    from delivery.releases import versions  # noqa: PLC0415

    workspace = factory.workspace()
    named = named or sources.head_tag(sources.find_directory(None))
    with open_store(workspace, _stack(workspace, stack)) as (store, registry):
        found, _ = store.find(named)
        tagged = versions.tag(store, registry, version, found, force=force)
    facts = {"version": str(tagged.version), "digest": found.digest, "new": tagged.is_new, "latest": tagged.is_latest}
    was = "is" if tagged.is_new else "was already"
    latest = "; `latest` means it, too" if tagged.is_latest else ""
    factory.console.facts(facts, lambda: [f"{version} {was} {found.digest[:_SHORT]} ({named}){latest}."])


@release.command("list", help=_LIST_HELP)
@stack_option
@options.json_option
@options.common
@options.pass_factory
def list_(factory: Factory, stack: str | None) -> None:
    """List the releases."""
    workspace = factory.workspace()
    with open_store(workspace, _stack(workspace, stack)) as (store, _):
        entries = catalogue.read(store)
    facts = {"releases": [entry.to_json() | {"proof": catalogue.summary(entry)} for entry in entries]}
    factory.console.facts(facts, lambda: _listed(entries))


@release.command(help=_SHOW_HELP)
@click.argument("named", metavar="RELEASE")
@stack_option
@options.json_option
@options.common
@options.pass_factory
def show(factory: Factory, named: str, stack: str | None) -> None:
    """Show a release with all its proof."""
    workspace = factory.workspace()
    with open_store(workspace, _stack(workspace, stack)) as (store, _):
        found, _ = store.find(named)
        entry = catalogue.entry_of(store, found, store.tags())
    facts = entry.to_json() | {
        "proof": _proof_facts(entry.proof),
        "images": {service: {"proof": _proof_facts(pieces)} for service, pieces in entry.images.items()},
    }
    factory.console.facts(facts, lambda: _tree(entry))


@release.command(help=_PULL_HELP)
@click.argument("named", metavar="RELEASE")
@click.argument("services", nargs=-1, metavar="[SERVICE…]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write OCI archives here.")
@stack_option
@options.json_option
@options.common
@options.pass_factory
def pull(factory: Factory, named: str, services: tuple[str, ...], out: Path | None, stack: str | None) -> None:
    """Pull the images of a release."""
    from delivery.releases import pull as pulling  # noqa: PLC0415 - see above

    workspace = factory.workspace()
    stack = _stack(workspace, stack)
    with open_store(workspace, stack) as (store, registry):
        found, name = store.find(named)
        address = workspace.environment(stack).registry.push
        pulled = pulling.pull(registry, address, found, name, services=services, out=out)
    images = [
        {"service": image.service, "digest": image.digest, "name": image.name, "archive": image.archive}
        for image in pulled
    ]
    factory.console.facts(
        {"images": images}, lambda: [f"{image.name}  {image.archive or 'in Docker'}" for image in pulled]
    )


@release.command(help=_PRUNE_HELP)
@click.option("--keep", type=click.IntRange(min=1), required=True, metavar="N", help="How many of the newest stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@stack_option
@options.yes_option
@options.json_option
@options.common
@options.pass_factory
def prune(factory: Factory, keep: int, *, dry_run: bool, stack: str | None) -> None:
    """Remove old releases."""
    from delivery.agreement import agree  # noqa: PLC0415 - see above
    from delivery.releases import prune as pruning  # noqa: PLC0415

    workspace = factory.workspace()
    stack = _stack(workspace, stack)
    with open_store(workspace, stack) as (store, registry):
        plan = pruning.plan(catalogue.read(store), pruning.needs_of(workspace, keep), keep)
        if plan.going and not dry_run:
            agree(factory, f"remove {len(plan.going)} releases for good")
            pruning.carry_out(registry, plan)
    factory.console.facts(plan.to_json() | {"done": not dry_run}, lambda: _pruned(plan, done=not dry_run))


def _stack(workspace: Workspace, named: str | None) -> str:
    """The environment that is named, or the last one: a release is meant to get there in the end."""
    if named is not None:
        return named
    environments = [name for name, declared in workspace.stacks.items() if declared.kind == "environment"]
    if not environments:
        raise BadInput("there is no environment, so nothing says which registry and signers hold")
    return environments[-1]


def _built_facts(built: BuiltRelease) -> dict[str, Any]:
    return {
        "tag": built.tag,
        "digest": built.release.digest,
        "commit": built.release.commit,
        "new": built.is_new,
        "services": _service_facts(built.services),
    }


def _service_facts(services: Sequence[BuiltService]) -> dict[str, Any]:
    return {service.name: service.to_json() for service in services}


def _built_lines(built: BuiltRelease) -> Iterator[str]:
    yield from _service_lines(built.services)
    state = "is in the registry" if built.is_new else "was in the registry already"
    yield f"Release {built.tag} {state}: {built.release.digest[:_SHORT]}. Next: slipway promote {built.tag} STACK"


def _service_lines(services: Sequence[BuiltService]) -> Iterator[str]:
    rows = [
        (
            service.name,
            service.digest[:_SHORT],
            "built" if service.built else f"unchanged since {service.since}",
            service.scan.result,
        )
        for service in services
    ]
    yield from table(rows, ("service", "image", "", "scan"))
    for service in services:
        for line in service.scan.lines():
            yield f"  {service.name}: {line}"


def _listed(entries: Sequence[Entry]) -> list[str]:
    if not entries:
        return ["There is no release yet: `slipway release build` makes one."]
    rows = [
        (
            ", ".join(entry.tags),
            entry.short,
            entry.at.strftime("%Y-%m-%d %H:%M:%S") if entry.at else "unknown",
            ", ".join(entry.release.services),
            ", ".join(catalogue.summary(entry)) or "none that counts",
        )
        for entry in entries
    ]
    return table(rows, ("tag", "release", "when (UTC)", "services", "proof"))


def _tree(entry: Entry) -> Iterator[str]:
    yield f"{entry.tags[0] if entry.tags else entry.short}  {entry.release.digest}"
    yield f"├─ commit  {entry.release.commit}"
    if entry.tags[1:]:
        yield f"├─ also    {', '.join(entry.tags[1:])}"
    branches: list[tuple[str, Sequence[Piece]]] = [("release", entry.proof)]
    branches += [(f"{service}  {entry.release.services[service]}", pieces) for service, pieces in entry.images.items()]
    for number, (title, pieces) in enumerate(branches, 1):
        last = number == len(branches)
        yield f"{'└' if last else '├'}─ {title}"
        yield from _branch(pieces, "   " if last else "│  ")


def _branch(pieces: Sequence[Piece], indent: str) -> Iterator[str]:
    if not pieces:
        yield f"{indent}└─ no proof"
    taken = catalogue.revoked(pieces)
    for number, piece in enumerate(pieces, 1):
        corner = "└" if number == len(pieces) else "├"
        when = piece.at.strftime("%Y-%m-%d %H:%M:%S") if piece.counts else " " * 19
        if not piece.counts:
            yield f"{indent}{corner}─ ✗ {piece.kind:<12}  does not count: {piece.fault}"
            continue
        back = "; taken back by a later run" if piece.digest in taken else ""
        mark = "✗" if back or catalogue.is_bad(piece) else "?" if catalogue.is_open(piece) else "✓"
        yield f"{indent}{corner}─ {mark} {piece.kind:<12}  {when}  {piece.signed_by}  {catalogue.describe(piece)}{back}"


def _proof_facts(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    taken = catalogue.revoked(pieces)
    return [
        {
            "kind": str(piece.kind),
            "at": piece.at.isoformat(),
            "signed_by": piece.signed_by,
            "roles": list(piece.roles),
            "counts": piece.counts and piece.digest not in taken,
            "why_not": piece.fault or ("taken back by a later run" if piece.digest in taken else None),
            "summary": catalogue.describe(piece),
            "digest": piece.digest,
            "tag": piece.tag,
            "attached": dict(piece.blobs),
        }
        for piece in pieces
    ]


def _pruned(plan: Plan, *, done: bool) -> Iterator[str]:
    for entry, why in plan.kept:
        yield f"kept     {', '.join(entry.tags) or entry.short}: {'; '.join(why)}"
    for entry in plan.going:
        yield f"{'removed' if done else 'would go'}  {', '.join(entry.tags) or entry.short}"
    for repository, digest in plan.images:
        yield f"{'removed' if done else 'would go'}  image {repository}@{digest[:_SHORT]}"
    if not plan.going:
        yield "Nothing is to be removed."
