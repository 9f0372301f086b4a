"""`slipway check`: whether a change of stack files may go in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from adapters.errors import Refused
from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.releases.proposed import Proposed, proposed
from delivery.releases.restricted import KEYS, trespasses

_HELP = f"""Check what the commits between BASE and HEAD do to stack files; for pull requests and in workflows.

Images of an environment need the proof that a promotion would ask for, by the gates and signers that BASE has; what
ran there before with success needs none again, so that a promotion can be reverted. Without changed images nothing is
asked of a registry. What is missing is named, and the command ends with 4.

With --only-images each commit may change nothing but {", ".join(KEYS)} of environments;
whether there is proof is not asked then.

\b
Examples:
  slipway check origin/main
  slipway check origin/main my-branch
  slipway check origin/main --only-images

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@click.argument("base")
@click.argument("head", default="HEAD")
@click.option("--only-images", is_flag=True, help="Refuse a commit that changes anything else.")
@options.json_option
@options.common
@options.pass_factory
def check(factory: Factory, base: str, head: str, *, only_images: bool) -> None:
    """Check images and proof in a change of stack files."""
    repository = factory.workspace().repository
    if only_images:
        beyond = list(trespasses(repository, base, head))
        factory.console.facts(
            {"beyond": beyond}, lambda: beyond or ["Nothing is changed but images, holds and baking."]
        )
        if beyond:
            raise Refused(f"only images, holds and baking may be changed here: {'; '.join(beyond)}")
        return
    with repository.checked_out(base) as before, repository.checked_out(head) as after:
        found = list(proposed(factory.at(before), factory.at(after)))
    factory.console.facts({"images": [each.to_json() for each in found]}, lambda: _lines(found))
    if whys := [f"{each.stack}: {verdict.gate}: {verdict.why}" for each in found for verdict in each.closed]:
        raise Refused(
            f"images are named that lack proof: {'; '.join(whys)}",
            fix="Let `slipway promote` write them, which asks for the same",
        )


def _lines(found: Sequence[Proposed]) -> Iterator[str]:
    if not found:
        yield "No environment comes to run another image."
    for each in found:
        yield f"{each.stack}: {', '.join(each.images.values())}"
        rows = [("open" if verdict.open else "CLOSED", verdict.gate, verdict.why) for verdict in each.verdicts]
        yield from table(rows, ("state", "gate", "why")) if rows else ("  no gates",)
