"""Puts a command together: one place, so that tests use the same wiring with other things at the seams.

Loaded before anything else is, so what takes time to load is loaded where it is wanted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.errors import BadInput, SlipwayError
from adapters.paths import REPOSITORY
from delivery.console import Console
from delivery.platform import Platform, TeamPlatform

if TYPE_CHECKING:
    from pulumi.automation import PulumiCommand

    from adapters.kubernetes import Kubernetes
    from components.settings import ClusterSettings
    from delivery.workspace import Workspace


def _command(engine: str) -> PulumiCommand:
    from delivery.engines import pulumi_command  # noqa: PLC0415 - see above

    return pulumi_command(engine)


def _prepare_engine() -> None:
    from local.engine.spare import SPARE  # noqa: PLC0415 - a team may have no need of it

    SPARE.prepare()
    from local.platform.configuration import Configuration  # noqa: PLC0415 - as above; the engine loads by now

    with contextlib.suppress(SlipwayError, OSError):  # whoever opens the stacks is told what is wrong
        Configuration().open_ahead()


def _dismiss_engine() -> None:
    from local.engine.spare import SPARE  # noqa: PLC0415 - as above

    SPARE.dismiss()


def _local_platform() -> Any:
    from local.platform import LocalPlatform  # noqa: PLC0415 - a team's own directory has no need of it

    return LocalPlatform


def _clusters() -> Any:
    from local import cluster  # noqa: PLC0415 - as above

    return cluster


def _verify(*args: Any, **options: Any) -> Any:
    from delivery.releases.verification import verify  # noqa: PLC0415 - few commands need it

    return verify(*args, **options)


def _connect(settings: ClusterSettings) -> Kubernetes:
    from delivery.releases.running import connect  # noqa: PLC0415 - see above

    return connect(settings)


@dataclass(frozen=True)
class Seams:
    """What lies outside of the commands: engines, clusters, the local platform, the environment."""

    commands: Callable[[str], PulumiCommand] = _command
    prepare_engine: Callable[[], None] = _prepare_engine
    dismiss_engine: Callable[[], None] = _dismiss_engine
    """Let the local engine load and the secrets' key be derived beforehand; end an engine that nobody had a use for."""
    local_platform: Callable[[], Any] = _local_platform
    """Gives a class like `local.platform.LocalPlatform`."""
    clusters: Callable[[], Any] = _clusters
    """Gives a module like `local.cluster`."""
    verify: Callable[..., Any] = _verify
    """Like `delivery.releases.verification.verify`: runs a suite against an environment."""
    connect: Callable[[ClusterSettings], Kubernetes] = _connect
    """Gives a client of a stack's cluster."""
    patience_s: float = 60.0
    """How long an update that leads back waits for a lock, or for an API server that is away."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass
class Options:
    """What was said on the command line for any command."""

    config_dir: Path | None = None
    engine: str | None = None
    yes: bool = False
    debug: bool = False


class Factory:
    """Makes what a command works with."""

    def __init__(self, seams: Seams | None = None) -> None:
        self.seams = seams or Seams()
        self.options = Options()
        self.console = Console()

    @property
    def is_local(self) -> bool:
        """Whether no configuration directory is named, so that the local platform is meant."""
        return self._named_directory() is None

    def workspace(self) -> Workspace:
        """The stacks there are; raises `BadInput` where the local platform was never made."""
        found = self.find()
        if found is None:
            raise BadInput(
                "there is no local platform yet",
                fix="Make it with `slipway up`, or name your configuration directory by --config-dir",
            )
        return found

    def find(self) -> Workspace | None:
        """The stacks there are, without starting or changing anything; None if the local platform was never made."""
        if (directory := self._named_directory()) is not None:
            return self._open(TeamPlatform(directory, environ=self.seams.environ))
        platform = self.seams.local_platform().find()
        return None if platform is None else self._open(platform)

    def at(self, directory: Path) -> Workspace:
        """The stacks as another state of the same configuration directory has them. Only to be looked at."""
        return self._open(TeamPlatform(directory, self.workspace().platform.env, environ=self.seams.environ))

    def committed(self) -> Workspace:
        """The stacks a local platform will have once it is made: those of this checkout. Only to be looked at."""
        return self._open(TeamPlatform(REPOSITORY))

    def prepare(self) -> Workspace:
        """The stacks, with the local platform made and started if it is meant."""
        if (directory := self._named_directory()) is not None:
            return self._open(TeamPlatform(directory, environ=self.seams.environ))
        return self._open(self.seams.local_platform().prepare())

    @property
    def cluster_name(self) -> str:
        """The name of the local platform's cluster."""
        from local.platform import cluster_name  # noqa: PLC0415 - a team's own directory has no need of it

        return cluster_name(self.seams.environ)

    def _named_directory(self) -> Path | None:
        named = self.options.config_dir or self.seams.environ.get("SLIPWAY_CONFIG_DIR")
        return Path(named).expanduser().absolute() if named else None

    def _open(self, platform: Platform) -> Workspace:
        from delivery.workspace import Workspace  # noqa: PLC0415 - see above

        return Workspace(platform, self.seams.commands, self.seams.environ, self.options.engine)
