"""Before an update: every image it would run is in the registry.

A pod that cannot pull its image is found out minutes later; a question to the registry takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapters.errors import BadInput
from adapters.passphrase import Passphrase
from adapters.registry import Reference, RegistryClient
from adapters.stackfile import StackFile
from components.settings import ClusterSettings, EnvironmentSettings, Settings

RELEASE_DIGITS = 12
"""So many hex digits of an image's digest name its release."""


def check_images(settings: Settings, file: StackFile, crypter: Callable[[], Passphrase]) -> None:
    """Raises `BadInput` for an image that the registry does not have, `Refused` for a held one.

    `crypter` opens the stack's secrets, and is asked only if the registry wants credentials.
    """
    if not isinstance(settings, EnvironmentSettings) or not settings.images:
        return
    with open_registry(settings, file, crypter) as registry:
        for service, image in settings.images.items():
            digest = registry.digest_of(image.name, image.digest or image.tag or "")
            if digest is None:
                raise _missing(settings, file, service, image)
            settings.check_hold(service, digest)  # what a bare tag means is known only now


def describe_image(image: Reference) -> dict[str, str | None]:
    """An image for `--json`."""
    release = image.digest.removeprefix("sha256:")[:RELEASE_DIGITS] if image.digest else None
    return {"name": image.name, "tag": image.tag, "digest": image.digest, "release": release}


def open_registry(settings: ClusterSettings, file: StackFile, crypter: Callable[[], Passphrase]) -> RegistryClient:
    """The registry that a stack names, as whoever may push there, else as whoever may pull; close it after use."""
    role, username = _user(settings)
    password = None
    if role:
        sealed: Mapping[str, Any] = file.get(["registryCredentials", role, "password"])
        password = crypter().decrypt(str(sealed["secure"]))
    return RegistryClient(settings.registry.push, username, password, settings.registry_ca())


def _user(settings: ClusterSettings) -> tuple[str | None, str | None]:
    """Whose credentials to ask with: those that push, since it is their address; else those that pull."""
    credentials = settings.registry_credentials
    if credentials.push:
        return "push", credentials.push.username
    return ("pull", credentials.pull.username) if credentials.pull else (None, None)


def _missing(settings: EnvironmentSettings, file: StackFile, service: str, image: Reference) -> BadInput:
    line = file.line_of(["images", service])
    return BadInput(
        f"the image {image} of the service {service} is not in the registry {settings.registry.push}",
        where=f"{file.path.name}{f', line {line}' if line else ''}, slipway:images.{service}",
        fix="Push it, or name one that is there",
    )
