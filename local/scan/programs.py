"""Where the scanners are: on PATH, else made here from what is pinned, once, and only when a build asks for them.

grype contains syft, so that both are of one Go module: the second one is only linked (7 s, after some 130 s).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

from adapters.command import CommandFailed, run
from adapters.errors import MachineUnfit
from adapters.paths import cache_dir
from adapters.progress import step
from local import gobuild

_HERE = Path(__file__).resolve().parent
_MODULE = _HERE / "modules" / "scanners"
_PIP_AUDIT = _HERE / "pip_audit" / "requirements.txt"


def syft() -> Path:
    """Lists what an image is made of; raises `MachineUnfit` where it is neither there nor can be built."""
    return _go_program("syft")


def grype() -> Path:
    """Finds known vulnerabilities of what an image is made of; raises as `syft`."""
    return _go_program("grype")


def pip_audit() -> Path:
    """Finds known vulnerabilities of Python packages; raises `MachineUnfit` where it cannot be installed."""
    if found := shutil.which("pip-audit"):
        return Path(found)
    recipe = _PIP_AUDIT.read_bytes() + sys.version.encode()
    target = cache_dir() / "bin" / f"pip-audit-{hashlib.sha256(recipe).hexdigest()[:16]}"
    finished = target / "finished"
    if not finished.exists():
        with gobuild.lock(target):
            if not finished.exists():
                with step("installing pip-audit"):
                    _install(target)
                finished.touch()
    return target / "bin" / "pip-audit"


def _go_program(name: str) -> Path:
    if found := shutil.which(name):
        return Path(found)
    package = f"github.com/anchore/{name}/cmd/{name}"
    if shutil.which("go") is None:
        raise MachineUnfit(
            f"{name} is not on PATH, nor is Go, which it could be built with",
            fix=f"Install {name}, or Go from go.dev/dl",
        )
    try:
        return gobuild.build(_MODULE, [package], ldflags=f"-X main.version={_version(name)}")[name]
    except CommandFailed as error:
        last = error.output.strip().splitlines()[-1:] or ["the compiler said nothing"]
        raise MachineUnfit(f"{name} does not build here: {last[0]}", fix=f"Install {name} on PATH") from error


def _version(name: str) -> str:
    """What the program is to call itself: it knows its own version only if it is told while it is built."""
    pinned = (_MODULE / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"github\.com/anchore/{name} v(\S+)", pinned)
    return found[1] if found else "unknown"


def _install(target: Path) -> None:
    """Into a virtual environment of its own: what it depends on is nobody else's business."""
    # It knows its own path, so it is made in place; one that was begun and not finished is made anew.
    shutil.rmtree(target, ignore_errors=True)
    try:
        run([sys.executable, "-m", "venv", str(target)])
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*pip, "--require-hashes", f"--requirement={_PIP_AUDIT}"], env={"TMPDIR": scratch})
    except CommandFailed as error:
        last = error.output.strip().splitlines()[-1:] or ["pip said nothing"]
        raise MachineUnfit(f"pip-audit cannot be installed: {last[0]}", fix="Install it on PATH") from error
