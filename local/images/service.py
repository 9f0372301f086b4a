"""Builds the image of a service from its Dockerfile, with buildah: no daemon, no privileges but root's, no traces.

The same content gives the same digest: times are zero, history is left out, and the base is reproducible itself. So a
finished image is found again by what it is made of, and building what has not changed costs a few milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.command import CommandFailed, run
from adapters.errors import BadInput, MachineUnfit, SlipwayError
from adapters.paths import cache_dir
from adapters.progress import step
from local import apt, disk
from local.images import debian, oci, pip

_TIMEOUT_S = 1200
_BASES_NEED = 1 << 30  # twice what making both takes at its height
_FREE_SOME = "Free some space or set SLIPWAY_CACHE_DIR to another disk"
_TAIL_LINES = 15
_KEPT_S = 30 * 24 * 3600
_NOT_CONTENT = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True)
class BuiltImage:
    """An OCI archive on this machine, and the digest `sha256:…` of its manifest."""

    archive: Path
    digest: str


@dataclass(frozen=True)
class _Bases:
    """The images a Dockerfile's `BASE` (to run on) and `BUILDER` (to build on) stand for."""

    base: Path
    builder: Path

    def digests(self) -> tuple[str, str]:
        return oci.digest_of(self.base), oci.digest_of(self.builder)


def build_service(directory: Path, name: str) -> BuiltImage:
    """Build `directory`'s Dockerfile, or find the image made of the same content before.

    Raises `BadInput` with the last lines of output where the Dockerfile does not build, `MachineUnfit` without root,
    Debian's packages or disk space.
    """
    if not (directory / "Dockerfile").is_file():
        raise BadInput("a service needs a Dockerfile and there is none", where=str(directory))
    bases = _bases()
    recipe = (content_hash(directory), bases.digests(), Path(__file__).read_text())
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]
    archive = cache_dir() / "images" / "services" / f"{name}-{key}.tar"
    if archive.exists():
        archive.touch()
    else:
        with step(f"building the image of {name}"):
            _build(directory, name, bases, archive)
        _forget_the_unused(archive.parent)
    return BuiltImage(archive, oci.digest_of(archive))


def _bases() -> _Bases:
    """Both base images of this week: made again each week, so that Debian's security updates reach the services."""
    year, week, _ = datetime.now(UTC).isocalendar()
    recipe = hashlib.sha256(Path(debian.__file__).read_bytes() + Path(oci.__file__).read_bytes()).hexdigest()[:12]
    folder = cache_dir() / "images" / "bases" / f"{debian.SUITE}-{year}w{week:02d}-{oci.architecture()}-{recipe}"
    bases = _Bases(folder / "runtime.tar", folder / "builder.tar")
    wanted = {bases.base: debian.RUNTIME_PACKAGES, bases.builder: debian.BUILDER_PACKAGES}
    missing = {archive: packages for archive, packages in wanted.items() if not archive.exists()}
    if missing:
        _need_root()
        # Looked at before, since apt may wait for ever where the disk is full in the middle of a download.
        disk.require(folder, _BASES_NEED, "to make a base image", fix=_FREE_SOME)
        apt.ensure("mmdebstrap")
        with step("making a base image from Debian packages"), ThreadPoolExecutor() as pool:
            made = [pool.submit(_make_base, archive, packages) for archive, packages in missing.items()]
            for base in made:
                base.result()
        _forget_the_unused(folder.parent)
    return bases


def _need_root() -> None:
    if os.geteuid() != 0:
        raise MachineUnfit("images are built as root", fix="Run as root, or push images built elsewhere")


def _make_base(archive: Path, packages: tuple[str, ...]) -> None:
    try:
        debian.write_base(archive, f"slipway.local/python-{archive.stem}:{debian.SUITE}", packages)
    except CommandFailed as error:
        raise _explained(error) or MachineUnfit(
            f"no base image could be made from Debian packages: {_tail(error.output)}",
            fix="Check that `apt-get update` works here",
        ) from error


def _build(directory: Path, name: str, bases: _Bases, archive: Path) -> None:
    _need_root()
    apt.ensure("buildah")
    archive.parent.mkdir(parents=True, exist_ok=True)
    # Storage of its own, thrown away: nothing of other users of buildah is touched, and nothing stays.
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{name}-") as scratch:
        made = Path(scratch) / "image.tar"
        try:
            run(_buildah(directory, name, bases, made, Path(scratch)), env={"TMPDIR": scratch}, timeout_s=_TIMEOUT_S)
        except CommandFailed as error:
            raise _explained(error) or BadInput(
                f"the image of {name} does not build: {_tail(error.output)}",
                where=str(directory / "Dockerfile"),
            ) from error
        made.replace(archive)


def _buildah(directory: Path, name: str, bases: _Bases, made: Path, scratch: Path) -> list[str]:
    """The command; `vfs` needs no mount, so an interrupted build leaves none behind."""
    storage = [f"--root={scratch / 'root'}", f"--runroot={scratch / 'run'}", "--storage-driver=vfs"]
    same_digest = ["--timestamp=0", "--omit-history", "--identity-label=false", "--layers=false"]
    arguments = [f"--build-arg=BASE=oci-archive:{bases.base}", f"--build-arg=BUILDER=oci-archive:{bases.builder}"]
    output = ["--format=oci", "--disable-compression=false", f"--tag=oci-archive:{made}:{name}"]
    isolation = ["--isolation=chroot", *pip.settings_for_build(scratch)]
    return ["buildah", *storage, "build", *isolation, *same_digest, *arguments, *output, str(directory)]


def content_hash(directory: Path) -> str:
    """A hash of every file that may be copied into an image, with its path and executable bit.

    What `.dockerignore` leaves out counts too: a build too many gives the same digest, one too few gives a wrong image.
    """
    total = hashlib.sha256()
    for path in _content(directory):
        data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        kind = "link" if path.is_symlink() else "program" if os.access(path, os.X_OK) else "file"
        total.update(repr((str(path.relative_to(directory)), kind, hashlib.sha256(data).hexdigest())).encode())
    return total.hexdigest()


def _content(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        if not _NOT_CONTENT & set(path.relative_to(directory).parts) and (path.is_symlink() or path.is_file()):
            yield path


def _forget_the_unused(folder: Path) -> None:
    """Remove what nobody asked for in a month, and what interrupted builds left."""
    for path in folder.iterdir():
        if time.time() - path.lstat().st_mtime > _KEPT_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _explained(error: CommandFailed) -> SlipwayError | None:
    if "no space left on device" in error.output.lower():
        return MachineUnfit("the disk is full", where=str(cache_dir()), fix=_FREE_SOME)
    return None


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_TAIL_LINES:])
