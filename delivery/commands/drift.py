"""`slipway drift`: whether the cluster is still what was applied."""

from __future__ import annotations

import click

from adapters.errors import Drifted
from delivery import options
from delivery.factory import Factory
from delivery.updates import Results, run

_HELP = """Compare the cluster with what was applied last. Changes nothing; `up` restores what is found.

Names each object that differs and its fields. What other controllers own (an autoscaler's replicas) does not count.

\b
Examples:
  slipway drift
  slipway drift prod --json

\b
Exit codes: 0 nothing differs, 2 something does, 1 failed, 3 bad input,
5 the cluster is unreachable."""


@click.command(help=_HELP)
@options.stacks_argument
@options.json_option
@options.common
@options.pass_factory
def drift(factory: Factory, stacks: tuple[str, ...]) -> None:
    """Show what differs in a cluster from what was applied."""
    workspace = factory.workspace()
    chosen = workspace.select(stacks)
    names = [stack.name for stack in chosen]
    results = run(chosen, lambda name: workspace.manage(name).drift(factory.console.lines_of(name, names)))
    factory.console.facts(results.to_json(), lambda: [] if results.changed or results.errors else ["No drift."])
    results.raise_errors()
    if results.changed:
        raise Drifted(
            f"the cluster differs from what was applied: {_named(results)}", fix=f"Restore it with {_up(results)}"
        )


def _drifted(results: Results) -> list[str]:
    return [name for name, outcome in results.done.items() if outcome.changed]


def _named(results: Results) -> str:
    parts = [f"{name}: {', '.join(map(str, results.done[name].changes))}" for name in _drifted(results)]
    return "; ".join(parts)


def _up(results: Results) -> str:
    return f"`slipway up {' '.join(_drifted(results))}`"
