"""Where a stack's registry is and who asks it: for whatever pulls, or looks up what a tag means."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import pulumi

from components.model import Credentials
from components.settings import ClusterSettings


@dataclass(frozen=True)
class RegistryAccess:
    """Where the registry is and who asks: nodes that pull, and we who look tags up; None where it asks for none."""

    push: str
    pull: str
    puller: Credentials | None
    looker: Credentials | None

    @classmethod
    def of(cls, settings: ClusterSettings) -> RegistryAccess:
        """What a stack's configuration says; environments compute it, so that they read no other stack's outputs."""
        registry, known = settings.registry, settings.registry_credentials
        # Looking up goes to the address for pushing, where those who only pull may be unknown.
        return cls(push=registry.push, pull=registry.pull, puller=known.pull, looker=known.push or known.pull)

    def docker_config(self) -> pulumi.Output[str] | None:
        """What a pull secret holds: credentials for the host that image names begin with."""
        if self.puller is None:
            return None
        username = self.puller.username

        def config(password: str) -> str:
            auth = base64.b64encode(f"{username}:{password}".encode()).decode()
            entry = {"username": username, "password": password, "auth": auth}
            return json.dumps({"auths": {self.pull.partition("/")[0]: entry}}, sort_keys=True)

        return self.puller.password.output().apply(config)
