"""`slipway serve`: the receiver of alerts that ask for a rollback."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click

from adapters.errors import BadInput, MachineUnfit
from adapters.github import API, Workflow
from adapters.kubernetes import Kubernetes
from delivery import options
from delivery.factory import Factory

_TOKEN_CHARACTERS = 16

_HELP = f"""Answer Alertmanager's alerts that ask for a rollback (label `action: rollback`).

POST /alerts takes its webhook, with the token of --token-file as a bearer. An alert is kept on disk before it is
answered; then, by `slipway:automation` of its environment: `off`, nothing is done; `observe`, what would have been done
is recorded; `on`, the release that the alert is about is rolled back, if it runs, bakes, and fails by its own doing.
Everything else is for people, whom Alertmanager tells as well. GET /healthz, /readyz and /metrics need no token.
It logs JSON lines on standard error, and ends on SIGTERM once what it does is done. Beside the local platform it runs
by itself: `slipway status` says how it is.

With --dispatch it needs no configuration directory: it asks the same rules of what each --environment says of itself in
the cluster, whose service account or kubeconfig it uses, and starts the rollback workflow, which does the rest. So it
runs in a team's cluster: `slipway:alertmanager.rollback.dispatch` of the stack `monitoring`.

\b
Examples:
  slipway serve --token-file /run/secrets/token --listen 127.0.0.1:9095
  slipway serve --token-file token --queue queue --environment prod --dispatch example/shop --github-token-file github

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@click.option("--listen", default="127.0.0.1:9095", show_default=True, metavar="HOST:PORT", help="Where it listens.")
@click.option("--socket", "descriptor", type=int, metavar="FD", help="A listening socket it was given, instead.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Holds what callers have to know, at least 16 characters.",
)
@click.option(
    "--queue",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where alerts are kept. [default: in the git directory of the configuration]",
)
@click.option("--dispatch", "repository", metavar="OWNER/NAME", help="Start the rollback workflow of this repository.")
@click.option("--workflow", default="rollback.yml", show_default=True, metavar="FILE", help="The workflow.")
@click.option("--ref", default="main", show_default=True, metavar="BRANCH", help="The branch that it is started on.")
@click.option("--github-api", default=API, show_default=True, metavar="URL", help="GitHub's API.")
@click.option(
    "--github-token-file",
    "github_token",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Holds a token of that repository with `actions: write`.",
)
@click.option("--environment", "names", multiple=True, metavar="NAME", help="With --dispatch: whose alerts it answers.")
@options.common
@options.pass_factory
def serve(
    factory: Factory,
    *,
    listen: str,
    descriptor: int | None,
    token_file: Path,
    queue: Path | None,
    repository: str | None,
    workflow: str,
    ref: str,
    github_api: str,
    github_token: Path | None,
    names: tuple[str, ...],
) -> None:
    """Answer alerts that ask for a rollback."""
    from delivery.serving import server  # noqa: PLC0415 - what other commands need not load
    from delivery.serving.dispatching import Environments  # noqa: PLC0415 - as above
    from delivery.serving.log import LogConsole, log_json  # noqa: PLC0415 - as above

    token = _read_token(token_file)
    if repository and not (queue and github_token and names):
        raise BadInput("--dispatch needs --queue, --github-token-file and --environment", fix="Name all three")
    with _socket(listen, descriptor) as listening:
        log_json()
        factory.console = LogConsole()
        if repository and queue and github_token:
            environments = Environments(names, lambda: Kubernetes.connect(kubeconfig=None, context=None))
            started = Workflow(repository, workflow, ref, github_api)
            receiver = server.create_dispatcher(environments, started, github_token, token, queue)
        else:
            queue = queue or factory.workspace().repository.git_dir / "slipway" / "alerts"
            receiver = server.create_receiver(factory, token, queue)
        server.run(receiver, listening)


def _read_token(path: Path) -> str:
    try:
        token = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise BadInput(f"the token cannot be read: {getattr(error, 'strerror', error)}", where=str(path)) from None
    if len(token) < _TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise BadInput(
            "the token is too easily guessed, or cannot be sent",
            where=str(path),
            allowed=f"{_TOKEN_CHARACTERS} and more printable ASCII characters",
            fix="Make one with `openssl rand -hex 32`",
        )
    return token


def _socket(listen: str, descriptor: int | None) -> socket.socket:
    if descriptor is not None:
        try:
            return socket.socket(fileno=os.dup(descriptor))
        except OSError as error:
            raise BadInput(f"there is no socket {descriptor} ({error.strerror})", where="--socket") from None
    host, _, port = listen.rpartition(":")
    if not (host and port.isdigit()):
        raise BadInput(f"{listen!r} is no place to listen", where="--listen", allowed="HOST:PORT")
    try:
        return socket.create_server((host, int(port)))
    except (OSError, OverflowError) as error:
        raise MachineUnfit(f"nobody can listen on {listen}: {error}", where="--listen") from None
