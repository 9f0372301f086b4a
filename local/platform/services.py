"""The first images of a fresh local platform: services built from Dockerfiles, pushed into its own registry."""

from __future__ import annotations

from pathlib import Path

from adapters.command import CommandFailed, run
from adapters.passphrase import Passphrase
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from local.images import BuiltImage, build_service, push

_COMMIT_DIGITS = 12


def services() -> list[str]:
    """The names of the services of this checkout: folders with a Dockerfile."""
    return sorted(dockerfile.parent.name for dockerfile in REPOSITORY.glob("services/*/Dockerfile"))


def build_all() -> dict[str, BuiltImage]:
    """Build every service, or find what was built of the same content before."""
    return {name: build_service(REPOSITORY / "services" / name, name) for name in services()}


def missing_images(file: StackFile) -> list[str]:
    """The services a stack runs for which its file names no image."""
    declared, named = file.get(["services"]) or {}, file.get(["images"]) or {}
    return [name for name in declared if name not in named]


def publish(name: str, image: BuiltImage, file: StackFile, crypter: Passphrase, ca: Path) -> str:
    """Push an image to the registry a stack names, and return how `slipway:images` calls it."""
    credentials = file.get(["registryCredentials", "push"])
    tag = source_tag()
    push(
        image,
        f"{file.get(['registry', 'push'])}/{name}",
        [tag],
        username=credentials["username"],
        password=crypter.decrypt(credentials["password"]["secure"]),
        ca=ca,
    )
    return f"{name}:{tag}@{image.digest}"


def source_tag() -> str:
    """`sha-` and the commit of this checkout; `dirty-` where files are changed, `dev` where there is no git."""
    try:
        commit = run(["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]).strip()[:_COMMIT_DIGITS]
        changed = run(["git", "-C", str(REPOSITORY), "status", "--porcelain", "services"]).strip()
    except CommandFailed:
        return "dev"
    return f"{'dirty' if changed else 'sha'}-{commit}"
