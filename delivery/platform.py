"""What stands behind a configuration directory: for a team's own nothing, for the local default a whole platform.

The commands know only this protocol. `local.platform.LocalPlatform` is one; what a team brings is `TeamPlatform`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LINKS = "SLIPWAY_LINKS"
"""The environment variable that says where a team's services are reached from here."""


class Platform(Protocol):
    """The configuration directory, and what is done around the updates of its stacks."""

    @property
    def config_dir(self) -> Path:
        """The configuration directory."""

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables by which the engines open the stacks."""

    @property
    def signers(self) -> Mapping[str, Path]:
        """Private keys that sign here, by their signer's name."""

    def before(self, stack: str) -> None:
        """Called before a stack is updated; at once for stacks that do not stand on each other."""

    def after(self, stack: str) -> None:
        """Called after a stack was updated, by as many at once."""

    def links(self) -> Mapping[str, str]:
        """Where things are reached: a name, an address."""

    def receiver(self) -> Mapping[str, str] | None:
        """How the receiver of alerts is that runs beside the platform (state, log); None where none does."""


@dataclass(frozen=True)
class TeamPlatform:
    """A configuration directory that somebody brings, with clusters and registries of their own."""

    config_dir: Path
    env: Mapping[str, str] = field(default_factory=dict)
    signers: Mapping[str, Path] = field(default_factory=dict)
    """None: a team's keys are with those who sign."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def before(self, stack: str) -> None:
        """A team sees to its images itself."""

    def after(self, stack: str) -> None:
        """A team's services are reached by its own ways."""

    def links(self) -> Mapping[str, str]:
        """What SLIPWAY_LINKS says, such as `prod/hello=https://hello.example.com`, with spaces between."""
        return dict(pair.partition("=")[::2] for pair in self.environ.get(LINKS, "").split())

    def receiver(self) -> None:
        """A team's runs elsewhere."""
