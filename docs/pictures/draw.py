"""Draws what commands really show in a terminal, as docs/pictures/NAME.svg.

    .venv/bin/python docs/pictures/draw.py [--columns N] NAME 'COMMAND' ['COMMAND'…]

A shell runs the commands one after the other in a pseudo-terminal; what they print is drawn below each. Nothing is
edited but the path of the state directory, which becomes `~/.local/state/slipway`, where it is by default.
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_DEFAULT_STATE = "~/.local/state/slipway"


def main() -> None:
    """Run the commands, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=120, help="of the terminal (%(default)s)")
    parser.add_argument("name", help="the picture's, without its ending")
    parser.add_argument("command", nargs="+", help="what is run and shown")
    arguments = parser.parse_args()
    console = Console(file=io.StringIO(), record=True, width=arguments.columns, force_terminal=True)
    for command in arguments.command:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(_shown(_run(command, arguments.columns))))
    picture = re.sub(
        r"\s*@font-face \{.*?\}", "", console.export_svg(title="slipway"), flags=re.DOTALL
    )  # fetches nothing
    Path(__file__).with_name(f"{arguments.name}.svg").write_text(picture)


def _run(command: str, columns: int) -> str:
    """What a command writes to a terminal as wide as the picture."""
    ours, its = pty.openpty()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["sh", "-c", command],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "COLUMNS": str(columns), "PATH": path},
    ):
        os.close(its)
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            return b"".join(iter(lambda: _read(terminal), b"")).decode()


def _read(terminal: io.FileIO) -> bytes:
    try:
        return terminal.read(65536)
    except OSError:  # how Linux says that nobody writes to a pseudo-terminal any more
        return b""


def _shown(text: str) -> str:
    state = os.environ.get("SLIPWAY_STATE_DIR")
    return (text.replace(state, _DEFAULT_STATE) if state else text).replace("\r\n", "\n").rstrip("\n") + "\n"


if __name__ == "__main__":
    main()
