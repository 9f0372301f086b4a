"""From the images that the configuration names to what pods run: `repository@digest`, never a tag.

Re-tagging an image thus restarts nothing, and what was verified is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from adapters.registry import Reference
from components.registry_access import RegistryAccess
from components.settings import EnvironmentSettings

if TYPE_CHECKING:
    import pulumi_docker

_RELEASE_LENGTH = 12


@dataclass(frozen=True)
class Image:
    """An image as a pod runs it. `release` is the first 12 hex digits of its digest, `version` its tag."""

    reference: pulumi.Output[str]
    digest: pulumi.Output[str]
    release: pulumi.Output[str]
    version: pulumi.Output[str]


class Images:
    """The images of an environment, by service."""

    def __init__(self, settings: EnvironmentSettings, access: RegistryAccess) -> None:
        self._settings, self._access = settings, access
        self._provider: pulumi_docker.Provider | None = None

    def of(self, service: str) -> Image:
        """The image of a service; refused if its digest is on hold."""
        return self._image(service, self._settings.images[service])

    def control_of(self, service: str) -> Image | None:
        """What one pod of a service runs beside that while it bakes; None if nothing does."""
        named = self._settings.controls.get(service)
        return self._image(service, named) if named else None

    def _image(self, service: str, named: Reference) -> Image:
        digest = pulumi.Output.from_input(named.digest) if named.digest else self._resolve(service, named)
        release = digest.apply(lambda known: known.removeprefix("sha256:")[:_RELEASE_LENGTH])
        return Image(
            reference=pulumi.Output.concat(self._access.pull, "/", named.name, "@", digest),
            digest=digest,
            release=release,
            version=pulumi.Output.from_input(named.tag) if named.tag else release,
        )

    def _resolve(self, service: str, named: Reference) -> pulumi.Output[str]:
        """What a bare tag means now. Asked of the address for pushing: it is the one that is reached from here."""
        import pulumi_docker as docker  # noqa: PLC0415 - takes as long as a small update, and few stacks name a tag

        def checked(digest: str) -> str:
            self._settings.check_hold(service, digest)
            return digest

        found = docker.get_registry_image_output(
            name=f"{self._access.push}/{named}", opts=pulumi.InvokeOutputOptions(provider=self._docker())
        )
        return found.sha256_digest.apply(checked)

    def _docker(self) -> pulumi_docker.Provider:
        import pulumi_docker as docker  # noqa: PLC0415 - as above

        if self._provider is None:
            credentials = self._access.looker
            self._provider = docker.Provider(
                "registry",
                ca_material=self._settings.registry_ca(),
                disable_docker_daemon_check=True,
                registry_auth=[
                    docker.ProviderRegistryAuthArgs(
                        address=self._access.push.partition("/")[0],
                        username=credentials.username,
                        password=credentials.password.output(),
                    )
                ]
                if credentials
                else None,
            )
        return self._provider
