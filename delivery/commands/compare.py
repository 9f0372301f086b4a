"""`slipway compare`: where two environments differ, and whether they may."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from adapters.errors import BadInput, Drifted
from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.releases.compare import Difference, differences

_HELP = """Show where the configurations of two environments differ.

What proved itself in A says something about B only if A is like B. Compared are the services and the rules of the
environments; not what runs there, on which cluster, and who may change it. Where A may differ from B stands in
`slipway:mayDiffer` of B; any other difference closes a gate of B like `close: {to: A}`. Of secrets only the names
are compared.

\b
Examples:
  slipway compare stage prod
  slipway compare stage prod --json

\b
Exit codes: 0 they differ only where they may, 2 they differ elsewhere, 3 bad input."""

_LONGEST = 40
_NOTHING = "–"


@click.command(help=_HELP)
@click.argument("a")
@click.argument("b")
@options.json_option
@options.common
@options.pass_factory
def compare(factory: Factory, a: str, b: str) -> None:
    """Show where two environments' configurations differ."""
    workspace = factory.workspace()
    workspace.select([a, b])
    if a == b:
        raise BadInput(f"{a} is always like itself", allowed=", ".join(workspace.stacks))
    one, other = workspace.environment(a), workspace.environment(b)
    found = differences(one, other, other.may_differ)
    wrong = [difference for difference in found if not difference.allowed]
    facts = {"a": a, "b": b, "close": not wrong, "differences": [_to_json(difference) for difference in found]}
    factory.console.facts(facts, lambda: _lines(a, b, found))
    if wrong:
        raise Drifted(
            f"{a} differs from {b} where it must not: {', '.join(difference.path for difference in wrong)}",
            fix=f"Make them alike, or list what may differ in slipway:mayDiffer of Pulumi.{b}.yaml",
        )


def _to_json(difference: Difference) -> dict[str, Any]:
    return {"path": difference.path, "a": difference.a, "b": difference.b, "allowed": difference.allowed}


def _lines(a: str, b: str, found: Sequence[Difference]) -> Iterator[str]:
    if not found:
        yield f"{a} and {b} do not differ."
        return
    # What is wrong comes first.
    rows = [
        (each.path, _shown(each.a), _shown(each.b), "may differ" if each.allowed else "MUST NOT differ")
        for each in sorted(found, key=lambda each: each.allowed)
    ]
    yield from table(rows, ("where", a, b, ""))


def _shown(value: Any) -> str:
    if value is None:
        return _NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
