"""`slipway up`: the cluster becomes what the stack files declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from delivery import options
from delivery.agreement import agree_to_update
from delivery.change import Changer
from delivery.console import table
from delivery.factory import Factory
from delivery.updates import Results, run

_HELP = f"""Bring stacks to what their files declare.

Without STACK: all of them, in the order in which they stand on each other. Without a configuration directory the local
platform is meant: it is made and started first, and its links are printed. Each image of an environment must be in the
registry before the environment is updated. Updating prod, or an environment that is protected, asks first.

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
    """Update stacks."""
    if (existing := factory.find()) is not None:
        agree_to_update(factory, existing.select(stacks))
    workspace = factory.prepare()
    chosen = workspace.select(stacks)
    for stack in chosen:
        # The local platform writes images into its files as it goes; a team's are complete.
        workspace.settings(stack.name, complete=workspace.is_team)
        workspace.engine_of(stack.name)
    names = [stack.name for stack in chosen]
    results = run(chosen, Changer(workspace, factory.console, names, message or "slipway up").update)
    links = workspace.platform.links()
    facts = results.to_json() | {"links": [{"name": name, "url": url} for name, url in links.items()]}
    factory.console.facts(facts, lambda: _closing(results, links))
    results.raise_errors()


def _closing(results: Results, links: Mapping[str, str]) -> Iterator[str]:
    if results.errors:
        return
    if not results.changed:
        yield "Nothing changed."
    if links:
        yield from table(links.items(), ("link", "address"))
