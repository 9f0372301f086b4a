"""`slipway publish`: what promotions and rollbacks have committed goes to the branch that others read."""

from __future__ import annotations

import uuid

import click

from delivery import options
from delivery.factory import Factory
from delivery.publishing import publish as push

_HELP = f"""Push the commits of the configuration directory to BRANCH of its remote `origin`, behind those of others.

For workflows: where rules protect BRANCH, the commits wait on a branch slipway/… of their own until its check has
passed. What others changed in the same place meanwhile is not overwritten: the command ends with 4.

\b
Example:
  slipway publish

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@click.argument("branch", default="main")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the check may take.",
)
@options.json_option
@options.common
@options.pass_factory
def publish(factory: Factory, branch: str, *, patience: float) -> None:
    """Push what promotions and rollbacks committed."""
    repository = factory.workspace().repository
    checked_on = f"slipway/{uuid.uuid4().hex[:12]}"
    titles = push(repository, branch, checked_on=checked_on, patience_s=patience, say=factory.console.say)
    pushed = [f"{branch} has them: {'; '.join(titles)}"] if titles else [f"{branch} has all commits already."]
    factory.console.facts({"branch": branch, "commits": titles}, lambda: pushed)
