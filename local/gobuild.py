"""Builds pinned Go modules into the user's cache, once a version: a second checkout builds nothing.

A binary's place is named by everything that decides its content: the module's files, the flags and the Go release.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapters.command import CommandFailed, run
from adapters.errors import MachineUnfit
from adapters.paths import cache_dir
from adapters.progress import step
from local import disk

GO_MINIMUM = (1, 26)
DISK_NEEDED = 6 << 30
"""Bytes that a cold build of Kubernetes takes in Go's build cache, module cache and output; measured 5.1 GB."""

# GOTOOLCHAIN=local: an older Go must be refused, not fetch a newer one behind the user's back.
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
_OWN_CLUSTER = "Or use a cluster of your own: name its context in the stack files (see README.md)"


def build(
    module: Path,
    packages: Sequence[str],
    *,
    ldflags: str = "",
    tags: str = "",
    completes: str = "",
    yielding: bool = False,
) -> dict[str, Path]:
    """Build `packages` of the Go module in `module`; maps each binary's name to its path in the cache.

    `completes` names a module that was published without files it embeds: those of `additions` beside go.mod are put
    into a copy of it. A `yielding` build takes only the processor time that nobody else wants.

    Raises `MachineUnfit` when Go is missing or too old or the disk too full, `CommandFailed` when the compiler does.
    """
    go, target = _target(module, packages, ldflags, tags)
    binaries = {_binary_name(package): target / _binary_name(package) for package in packages}
    if target.is_dir():
        return binaries
    with lock(target):
        if not target.is_dir():
            _require_disk(target.parent)
            with step(f"building {', '.join(binaries)} with {go}"):
                flags = [f"-ldflags=-s -w {ldflags}", f"-tags={tags}"]
                with _completed(module, completes, target.parent) as source:
                    _compile(source, flags, packages, target, yielding=yielding)
    return binaries


def find(module: Path, packages: Sequence[str], *, ldflags: str = "", tags: str = "") -> dict[str, Path] | None:
    """What `build` gives for the same if it was built before, else None; builds nothing."""
    _, target = _target(module, packages, ldflags, tags)
    return {_binary_name(package): target / _binary_name(package) for package in packages} if target.is_dir() else None


def check(module: Path, packages: Sequence[str], *, ldflags: str = "", tags: str = "") -> None:
    """Raises `MachineUnfit` where `build` would for the same; writes nothing."""
    _, target = _target(module, packages, ldflags, tags)
    if not target.is_dir():
        _require_disk(target.parent)


def _target(module: Path, packages: Sequence[str], ldflags: str, tags: str) -> tuple[str, Path]:
    """The Go release that builds, and the folder that all binaries of the build are in."""
    go = _go_version()
    return go, cache_dir() / "bin" / _fingerprint(module, [go, *packages, ldflags, tags])


@contextmanager
def _completed(module: Path, completes: str, scratch: Path) -> Iterator[Path]:
    """The module to build: itself, or a copy in which `completes` has its additions."""
    if not completes:
        yield module
        return
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".completing-") as directory:
        copy = Path(directory) / "module"
        shutil.copytree(module, copy)
        described = run(["go", "mod", "download", "-json", completes], cwd=copy, env=_ENVIRONMENT)
        completed = copy / "completed"
        shutil.copytree(json.loads(described)["Dir"], completed, copy_function=shutil.copyfile)
        for folder in [completed, *completed.rglob("*/")]:
            folder.chmod(0o755)  # what lies in Go's cache is read-only
        shutil.copytree(module / "additions", completed, dirs_exist_ok=True)
        run(["go", "mod", "edit", f"-replace={completes}=./completed"], cwd=copy, env=_ENVIRONMENT)
        yield copy


def _compile(module: Path, flags: list[str], packages: Sequence[str], target: Path, *, yielding: bool) -> None:
    """Build beside `target`, then rename: whoever looks sees all binaries or none."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        output = Path(scratch) / "bin"
        output.mkdir()
        command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", *flags, "-o", f"{output}/"]
        run([*(["nice", "-n19"] if yielding else []), *command, *packages], cwd=module, env=_ENVIRONMENT)
        output.rename(target)


def _go_version() -> str:
    """The Go release on PATH, like `go1.26.8`."""
    if shutil.which("go") is None:
        raise MachineUnfit(
            "Go is not installed, and the local cluster is built from Go modules",
            allowed=f"Go {_dotted(GO_MINIMUM)} or newer on PATH",
            fix=f"Install it from go.dev/dl. {_OWN_CLUSTER}",
        )
    try:
        release = run(["go", "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}).strip()
    except CommandFailed as failed:
        raise MachineUnfit("Go does not run", fix=f"It said: {failed.output.strip()}") from failed
    found = re.match(r"go(\d+)\.(\d+)", release)
    if not found or (int(found[1]), int(found[2])) < GO_MINIMUM:
        raise MachineUnfit(
            f"Go is too old: {release}",
            allowed=f"Go {_dotted(GO_MINIMUM)} or newer on PATH",
            fix=f"Install a newer one from go.dev/dl. {_OWN_CLUSTER}",
        )
    return release


def _require_disk(directory: Path) -> None:
    fix = f"Free some, or name another place by SLIPWAY_CACHE_DIR. {_OWN_CLUSTER}"
    disk.require(directory, DISK_NEEDED, "to build", fix=fix)


def _fingerprint(module: Path, settings: Sequence[str]) -> str:
    """A name for what the build gives: 16 hex digits over the module's files and the settings."""
    digest = hashlib.sha256("\0".join(settings).encode())
    for file in sorted(module.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(module).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _binary_name(package: str) -> str:
    """Go names a binary after the package's last element that is not a major version."""
    elements = [part for part in package.split("/") if not re.fullmatch(r"v\d+", part)]
    return elements[-1]


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Let one process make `target`; a second one waits and then finds it done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
