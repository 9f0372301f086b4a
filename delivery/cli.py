"""The `slipway` command: puts the commands together, and ends each with an exit code that means something."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from adapters.errors import BadInput, SlipwayError
from delivery import options
from delivery.commands import (
    check,
    cluster,
    compare,
    down,
    drift,
    engine,
    freeze,
    history,
    hold,
    preview,
    promote,
    publish,
    release,
    render,
    rollback,
    serve,
    settle,
    sign_off,
    status,
    up,
    verify,
)
from delivery.factory import Factory, Seams

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


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="slipway")
@options.common
def slipway() -> None:
    """The command's groups and commands."""


for _command in (
    up.up,
    preview.preview,
    drift.drift,
    render.render,
    down.down,
    status.status,
    promote.promote,
    rollback.rollback,
    serve.serve,
    settle.settle,
    verify.verify,
    history.history,
    sign_off.sign_off,
    hold.hold,
    hold.unhold,
    freeze.freeze,
    freeze.unfreeze,
    compare.compare,
    check.check,
    publish.publish,
    cluster.cluster,
    engine.engine,
    release.release,
):
    slipway.add_command(_command)


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


if __name__ == "__main__":
    sys.exit(main())
