"""The `slipway` command: puts the commands together, and ends each with an exit code that means something."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from adapters.errors import BadInput, SlipwayError
from delivery import options
from delivery.factory import Factory, Seams
from delivery.start import IN_A_HURRY

_COMMANDS = (
    *("up", "preview", "drift", "render", "down", "status", "promote", "rollback", "settle", "verify", "history"),
    *("logs", "sign-off", "hold", "unhold", "freeze", "unfreeze", "compare", "check", "publish"),
    *("serve", "cluster", "engine", "release"),
)
"""Each is in the module of `commands` that is called like it,"""
_BESIDE = {"unhold": "hold", "unfreeze": "freeze"}
"""but for these."""
_INTERRUPTED = 130

_HELP = """Slipway carries releases of services through environments on Kubernetes.

A stack is declared by its file, Pulumi.STACK.yaml, in a configuration directory. Without one named by --config-dir or
SLIPWAY_CONFIG_DIR, the platform of this machine is meant.

\b
Exit codes:
  0    done
  1    something was started and failed
  2    the cluster differs from what is declared, or environments that must be alike
  3    bad input; nothing was changed
  4    refused: protected, held, another engine's, not confirmed
  5    a cluster or registry cannot be reached; nothing was changed
  6    somebody else is updating the stack
  7    this machine lacks what the command needs
  130  interrupted"""


class _Commands(click.Group):
    """Loads the module of a command once that is named: all of them take as long as a small update."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the name is click's
        """In the order of the alphabet, as click has it."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, None for an unknown one."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"delivery.commands.{_BESIDE.get(cmd_name, cmd_name).replace('-', '_')}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        command.short_help = inspect.getdoc(command.callback)  # the help's own first sentence is too long for a list
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Let the engine load meanwhile, where it is likely wanted soon."""
        factory = ctx.find_object(Factory)
        if factory is not None and factory.is_local and args[0] in IN_A_HURRY:
            factory.seams.prepare_engine()
        return super().resolve_command(ctx, args)


@click.group(
    help=_HELP,
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="slipway")
@options.common
def slipway() -> None:
    """The command's groups and commands."""


def main(args: Sequence[str] | None = None, seams: Seams | None = None) -> int:
    """Run a command line; its exit code."""
    factory = Factory(seams)
    try:
        slipway.main(args, prog_name="slipway", obj=factory, standalone_mode=False)
    except SlipwayError as error:
        factory.console.complain(f"slipway: {error.paragraph()}")
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        factory.console.complain(error.format_message())
        return BadInput.exit_code
    except click.ClickException as error:
        factory.console.complain(f"slipway: {_usage(error)}")
        return BadInput.exit_code
    except (click.Abort, KeyboardInterrupt):
        factory.console.complain("slipway: interrupted")
        return _INTERRUPTED
    except Exception as error:
        return _unexpected(factory, error)
    finally:
        factory.seams.dismiss_engine()
    return 0


def _usage(error: click.ClickException) -> str:
    """click's message as a paragraph, with where to read on."""
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "slipway"
    message = error.format_message()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{command} --help`."


def _unexpected(factory: Factory, error: Exception) -> int:
    """A mistake of ours: its text may hold anything, so only its kind and place are shown unless asked for."""
    if factory.options.debug:
        factory.console.complain("".join(traceback.format_exception(error)).rstrip())
    place = traceback.extract_tb(error.__traceback__)[-1]
    hint = "" if factory.options.debug else " Run it again with --debug to see where, and report that."
    factory.console.complain(
        f"slipway: unexpected {type(error).__name__} in {place.name}, which is a mistake in slipway itself.{hint}"
    )
    return SlipwayError.exit_code


def run() -> NoReturn:
    """The command as a program of its own."""
    code = main()
    with contextlib.suppress(BrokenPipeError):  # whoever read it has seen enough
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # to take apart all that was loaded, object by object, takes a tenth of a second
