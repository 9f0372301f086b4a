"""`slipway render`: the manifests of a stack, without a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.errors import BadInput
from delivery import options
from delivery.factory import Factory

_HELP = f"""Write the Kubernetes manifests of a stack into DIR, a file an object.

Needs no cluster and no passphrase: where a secret would be there is a marker, and another one for what only an update
brings. The local engine does it for every stack, since the Pulumi CLI writes secrets readable.

\b
Example:
  slipway render prod --out build/prod

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stack_argument
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="New or empty directory.")
@options.json_option
@options.common
@options.pass_factory
def render(factory: Factory, stack: str, out: Path) -> None:
    """Write a stack's manifests into a directory."""
    workspace = factory.workspace()
    workspace.select([stack])
    workspace.settings(stack)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(
            "manifests of something else may be there already", where=str(out), allowed="a new or empty directory"
        )
    workspace.render(stack, out)
    files = [str(path.relative_to(out)) for path in sorted(out.rglob("*.yaml"))]
    factory.console.facts(
        {"stack": stack, "out": str(out), "files": files}, lambda: [f"{len(files)} manifests written to {out}"]
    )
