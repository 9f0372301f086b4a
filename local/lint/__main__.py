"""`python -m local.lint`: workflows by actionlint, Dockerfiles by BuildKit's checks, secrets by gitleaks.

What they look at is the repository that we are in. Names of linters as arguments choose among them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import SlipwayError
from local import gobuild

_MODULES = Path(__file__).resolve().parent / "modules"


@dataclass(frozen=True)
class Linter:
    """A program of a Go module of its own, and what it is asked; `files` are patterns of what comes behind that."""

    package: str
    arguments: Sequence[str] = ()
    files: Sequence[str] = ()


LINTERS: Mapping[str, Linter] = {
    # Its checks of scripts by shellcheck and pyflakes would depend on what a machine happens to have.
    "actionlint": Linter(
        "github.com/rhysd/actionlint/cmd/actionlint",
        ["-no-color", "-shellcheck=", "-pyflakes="],
        [".github/workflows/*"],
    ),
    "dockerfile": Linter("slipway.local/dockerfile", files=["Dockerfile", "**/Dockerfile"]),
    "gitleaks": Linter(
        "github.com/zricethezav/gitleaks/v8", ["dir", "--no-banner", "--no-color", "--redact", "--verbose", "."]
    ),
}


def path_of(name: str) -> Path:
    """A linter's program, built where the cache lacks it; raises `MachineUnfit` where it cannot be."""
    built = gobuild.build(_MODULES / name, [LINTERS[name].package])
    return built[name]


def main(names: Sequence[str]) -> int:
    """Run the linters of these names, all for none; 1 if one of them has something to say."""
    codes = []
    for name in names or LINTERS:
        try:
            codes.append(_run(name))
        except SlipwayError as error:
            print(f"{name}: {error.paragraph()}", file=sys.stderr)
            codes.append(error.exit_code)
    return next((code for code in codes if code), 0)


def _run(name: str) -> int:
    linter = LINTERS[name]
    files = _tracked(linter.files) if linter.files else []
    if linter.files and not files:
        return 0
    argv = [str(path_of(name)), *linter.arguments, *files]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:  # they all say that all is well, too
        print(f"{name}:\n{done.stdout.rstrip()}")
    return done.returncode


def _tracked(patterns: Sequence[str]) -> list[str]:
    """The files that git knows, or would by `git add`, so that no build directory is looked into."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *(f":(glob){p}" for p in patterns)]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
