"""`slipway serve`: the receiver of alerts that ask for a rollback."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click

from adapters.errors import BadInput, MachineUnfit
from adapters.git import Repository
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

\b
Examples:
  slipway serve --token-file /run/secrets/token --listen 127.0.0.1:9095

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
@options.common
@options.pass_factory
def serve(factory: Factory, listen: str, descriptor: int | None, token_file: Path, queue: Path | None) -> None:
    """Answer alerts that ask for a rollback."""
    from delivery.serving.server import run  # noqa: PLC0415 - what other commands need not load

    token = _read_token(token_file)
    with _socket(listen, descriptor) as listening:
        directory = queue or Repository(factory.workspace().config_dir).git_dir / "slipway" / "alerts"
        run(factory, listening, token, directory)


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
