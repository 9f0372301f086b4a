"""A Docker engine, where there is one: builds images with buildx, pulls and names them. No more than command lines.

Sources: https://docs.docker.com/reference/cli/docker/buildx/build/ and https://docs.docker.com/build/exporters/oci-docker/.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

from adapters.command import CommandFailed, run
from adapters.errors import BadInput, MachineUnfit, Unreachable

_ASK_S, _BUILD_S, _PULL_S = 20, 3600, 1200
_TAIL_LINES = 15
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NO_OCI = "exporter is not supported"


def has_engine() -> bool:
    """Whether an engine answers: the program alone is on many machines where none runs."""
    return shutil.which("docker") is not None and _answers(["docker", "version", "--format", "{{.Server.Version}}"])


def can_build() -> bool:
    """Whether an engine answers and the program knows `buildx`."""
    return has_engine() and _answers(["docker", "buildx", "version"])


def build(directory: Path, archive: Path) -> str:
    """Build `directory`'s Dockerfile into an OCI archive; the digest `sha256:…` of the image.

    Times are zero and the engine's own attestations are left out, so that the same content on the same base has the
    same digest. Raises `BadInput` with the last lines where it does not build, `MachineUnfit` where the engine's
    builder writes no archives.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-buildx-") as scratch:
        metadata = Path(scratch) / "metadata.json"
        argv = ["docker", "buildx", "build", "--progress=plain", "--provenance=false", "--sbom=false"]
        argv += ["--build-arg=SOURCE_DATE_EPOCH=0", f"--output=type=oci,dest={archive},rewrite-timestamp=true"]
        argv += [f"--metadata-file={metadata}", f"--file={directory / 'Dockerfile'}", str(directory)]
        try:
            run(argv, timeout_s=_BUILD_S)
        except CommandFailed as error:
            raise _explained(error, directory) from error
        return _digest_in(metadata)


def pull(reference: str, name: str) -> None:
    """Pull `registry/repository@sha256:…` and call it `name`, with the credentials that `docker login` keeps."""
    try:
        run(["docker", "pull", "--quiet", reference], timeout_s=_PULL_S)
        run(["docker", "tag", reference, name], timeout_s=_ASK_S)
    except CommandFailed as error:
        raise Unreachable(
            f"docker does not pull the image: {_last_line(error)}",
            where=reference,
            fix="See that the engine trusts the registry and is logged in (`docker login`), or write an archive: --out",
        ) from error


def _answers(argv: list[str]) -> bool:
    try:
        run(argv, timeout_s=_ASK_S)
    except CommandFailed:
        return False
    return True


def _digest_in(metadata: Path) -> str:
    try:
        digest = json.loads(metadata.read_text(encoding="utf-8"))["containerimage.digest"]
    except (OSError, ValueError, KeyError, TypeError):
        digest = None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise MachineUnfit("docker buildx does not say which digest it built", fix="Install a newer buildx")
    return digest


def _explained(error: CommandFailed, directory: Path) -> BadInput | MachineUnfit:
    if _NO_OCI in error.output:
        return MachineUnfit(
            "the engine's builder writes no OCI archives",
            fix="Make another one with `docker buildx create --use`, or build with buildah: --with buildah",
        )
    tail = "\n".join(error.output.strip().splitlines()[-_TAIL_LINES:])
    return BadInput(f"the image does not build: {tail}", where=str(directory / "Dockerfile"))


def _last_line(error: CommandFailed) -> str:
    return (error.output.strip().splitlines() or ["it said nothing"])[-1]
