"""Copies a built image into a registry, byte for byte, so that the digest known before is the digest there."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from adapters.command import CommandFailed, run
from adapters.errors import BadInput, MachineUnfit, SlipwayError, Unreachable
from local import apt
from local.images.service import BuiltImage

_TIMEOUT_S = 600
_REFUSED = ("unauthorized", "authentication required", "invalid username/password", "denied")
_UNREACHED = (
    "connection refused",
    "no such host",
    "i/o timeout",
    "certificate",
    "connection reset",
    ": eof",  # a forwarded port with nothing behind it
    "tls:",
    "no route",
)


def push(
    image: BuiltImage, repository: str, tags: Sequence[str], *, username: str, password: str, ca: Path | None
) -> None:
    """Push `image` to `repository` (`host:port/name`) under each of `tags`; blobs that are there are not sent again.

    `ca` is the PEM file of the authority that signed the registry's certificate, None for the system's. Raises
    `BadInput` where the credentials are refused, `Unreachable` where nothing trustworthy answers.
    """
    apt.ensure("skopeo")
    # A file only we can read: arguments are seen by every user of the machine.
    with tempfile.TemporaryDirectory(prefix="slipway-push-") as private:
        options = [f"--authfile={_authfile(Path(private), repository, username, password)}"]
        if ca is not None:
            options.append(f"--dest-cert-dir={_certificates(Path(private), ca)}")
        for tag in tags:
            target = f"{repository}:{tag}"
            copy = ["skopeo", "copy", "--quiet", "--preserve-digests", "--retry-times=2", *options]
            try:
                source = f"oci-archive:{image.archive}"
                run([*copy, source, f"docker://{target}"], env={"TMPDIR": private}, timeout_s=_TIMEOUT_S)
            except CommandFailed as error:
                raise _explained(error, target) from error


def _authfile(private: Path, repository: str, username: str, password: str) -> Path:
    host, _, _ = repository.partition("/")
    credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
    path = private / "auth.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"auths": {host: {"auth": credentials}}}))
    return path


def _certificates(private: Path, ca: Path) -> Path:
    folder = private / "certs"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(ca.read_bytes())
    return folder


def _explained(error: CommandFailed, target: str) -> SlipwayError:
    output = error.output.lower()
    last = error.output.strip().splitlines()[-1:] or [str(error)]
    if "no space left on device" in output:
        return MachineUnfit("no disk space is left to push from or to", where=target, fix="Free some space")
    if any(text in output for text in _REFUSED):
        return BadInput(
            "the registry refuses these credentials", where=target, fix="Check the push user and password of this stack"
        )
    if any(text in output for text in _UNREACHED):
        return Unreachable(
            f"the registry does not answer as expected: {last[0]}",
            where=target,
            fix="See with `slipway status` whether the stack it belongs to was brought up",
        )
    return error
