"""Options that commands share. Those of every command may stand before or after its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from delivery.factory import Factory

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LENGTH = re.compile(r"(\d{1,5})([mhd])")

pass_factory = click.make_pass_decorator(Factory)

stacks_argument = click.argument("stacks", nargs=-1, metavar="[STACK…]")
stack_argument = click.argument("stack", metavar="STACK")


def length(text: str) -> timedelta | None:
    """A length of time such as 30m, 2h, 3d; None for a text that is none."""
    found = _LENGTH.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keep what was said; what was not said takes nothing back that was said before the command's name."""
    if value:
        setattr(context.find_object(Factory).options, str(parameter.name), value)  # type: ignore[union-attr]
    return value


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> bool:
    if value:
        context.find_object(Factory).console.json = True  # type: ignore[union-attr]
    return value


def common(command: Decorated) -> Decorated:
    """What every command takes."""
    for option in (
        click.option(
            "--debug",
            is_flag=True,
            expose_value=False,
            callback=_store,
            help="Show the traceback of an internal error.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "pulumi"]),
            expose_value=False,
            callback=_store,
            help="Engine that runs the program. [default: the one recorded for the stack; else the Pulumi CLI for a "
            "directory of yours, if it is on PATH; else local]",
        ),
        click.option(
            "--config-dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            expose_value=False,
            callback=_store,
            help="Directory of Pulumi.yaml and the stack files; also SLIPWAY_CONFIG_DIR. [default: the local "
            "platform's]",
        ),
    ):
        command = option(command)
    return command


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_set_json,
    help="Print facts as JSON on standard output, progress on standard error.",
)

yes_option = click.option(
    "--yes", "-y", is_flag=True, expose_value=False, callback=_store, help="Do not ask; needed without a terminal."
)

message_option = click.option("--message", "-m", metavar="TEXT", default="", help="Why; kept in the stack's history.")
as_option = click.option(
    "--as", "name", metavar="NAME", help="Who acts, for the record; also SLIPWAY_IDENTITY. [default: this user]"
)


def _pairs(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(value.partition("=")[::2] for value in values)
    if wrong := [name for name, value in pairs.items() if not (name and "://" in value)]:
        raise click.BadParameter(f"{wrong[0]!r}: write SERVICE=http://…", param=parameter)
    return pairs


urls_option = click.option(
    "--url",
    "urls",
    multiple=True,
    callback=_pairs,
    metavar="SERVICE=URL",
    help="Where a service is reached for its verification. [default: the platform's links, or its ingress]",
)

EXIT_CODES = """\b
Exit codes: 0 done, 1 failed, 3 bad input, 4 refused, 5 unreachable,
6 somebody else is updating the stack, 7 the machine lacks something."""
