"""`slipway up`: the cluster becomes what the stack files declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import click

from adapters.errors import Refused
from delivery import options
from delivery.agreement import agree_to_update
from delivery.change import Changer
from delivery.console import table
from delivery.engines import LOCAL
from delivery.factory import Factory
from delivery.frozen import check_brings_nothing_new, leave_frozen
from delivery.releases import bootstrap
from delivery.releases.journal import interrupted
from delivery.updates import Results, run
from delivery.workspace import DeclaredStack, Workspace

_HELP = f"""Bring stacks to what their files declare.

Without STACK: all that are in clusters, in the order in which they stand on each other; the repository on GitHub has to
be named. Without a configuration directory the local platform is meant: it is made and started first, and its links are
printed. Each image of an environment must be in the registry before the environment is updated. On the local platform
what a stack stands on has to be there, or be named with it. Updating prod, or an environment that is protected, asks
first. A frozen environment is left as it is, unless it is named: then it is brought to what its file declared before
(after a `git revert`, say), and refused anything new.

\b
Examples:
  slipway up                     everything
  slipway up stage -m "retry"    one environment, and why
  slipway up prod --yes          without being asked

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stacks_argument
@options.message_option
@options.yes_option
@options.json_option
@options.common
@options.pass_factory
def up(factory: Factory, stacks: tuple[str, ...], message: str) -> None:
    """Bring stacks to what their files declare."""
    existing = factory.find()
    if factory.is_local:
        _refuse_what_has_no_ground(existing or factory.committed(), stacks, is_new=existing is None)
    if existing is not None:
        agree_to_update(factory, _chosen(existing, stacks, factory.console.say))
    workspace = factory.prepare()
    chosen = _chosen(workspace, stacks, lambda _: None)
    for stack in chosen:
        # The local platform writes images into its files as it goes; a team's are complete.
        workspace.settings(stack.name, complete=workspace.is_team)
        workspace.engine_of(stack.name)
    names = [stack.name for stack in chosen]
    for name in names:
        if cut_short := interrupted(workspace.config_dir, name):
            factory.console.complain(f"{name}: {cut_short}.")
    results = run(chosen, Changer(workspace, factory.console, names, message or "slipway up").update)
    links = workspace.platform.links()
    facts = results.to_json() | {"links": [{"name": name, "url": url} for name, url in links.items()]}
    factory.console.facts(facts, lambda: _closing(results, links))
    results.raise_errors()
    if factory.is_local:
        bootstrap.begin(workspace, names, factory.console.say)


def _chosen(workspace: Workspace, names: Sequence[str], say: Callable[[str], None]) -> Sequence[DeclaredStack]:
    """The stacks to update; raises `Refused` for one that is named, frozen, and would get something new."""
    if not names:
        return leave_frozen(workspace, workspace.select(()), say)
    chosen = workspace.select(names)
    check_brings_nothing_new(workspace, chosen, say)
    return chosen


def _refuse_what_has_no_ground(workspace: Workspace, names: Sequence[str], *, is_new: bool) -> None:
    """Images of the local platform go into its own registry, so the stack with the registry has to be there first.

    A team's registry may be run elsewhere, with nothing in its `shared` stack; whether it answers is checked anyway.
    Of GitHub the local platform has nothing.
    """
    chosen = workspace.select(names)
    for stack in chosen:
        stack.check_engine(LOCAL)
    there = {stack.name for stack in chosen}
    there |= {name for name in workspace.stacks if not is_new and workspace.marker(name).read() is not None}
    if needed := {name for stack in chosen for name in stack.stands_on} - there:
        wanting = [stack.name for stack in chosen if needed.intersection(stack.stands_on)]
        together = [name for name in workspace.stacks if name in needed or name in names]
        raise Refused(
            f"{', '.join(wanting)} cannot stand without {', '.join(sorted(needed))}, which was never brought up, "
            "so nothing was changed",
            fix=f"Bring them up together: `slipway up {' '.join(together)}`",
        )


def _closing(results: Results, links: Mapping[str, str]) -> Iterator[str]:
    if results.errors:
        return
    if not results.changed:
        yield "Nothing changed."
    if links:
        yield from table(links.items(), ("link", "address"))
