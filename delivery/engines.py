"""Which engine a stack has: the Pulumi CLI, or the local engine where no CLI can be had.

A stack has one engine, since each keeps a record of its own of what the stack has. The engine's name lies beside the
stack's file, in `.slipway/<stack>.engine`, and is meant to be committed like it.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml
from pulumi.automation import InvalidVersionError, PulumiCommand

from adapters.errors import BadInput, MachineUnfit, Refused

LOCAL, PULUMI = "local", "pulumi"
ENGINES = (LOCAL, PULUMI)


class Marker:
    """The recorded engine of a stack."""

    def __init__(self, config_dir: Path, stack: str) -> None:
        self._stack = stack
        self.path = config_dir / ".slipway" / f"{stack}.engine"

    def read(self) -> str | None:
        """The engine, None if none was recorded yet; raises `BadInput` for an unknown one."""
        try:
            engine = self.path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        if engine not in ENGINES:
            raise BadInput(f"there is no engine {engine!r}", where=str(self.path), allowed=", ".join(ENGINES))
        return engine

    def write(self, engine: str) -> None:
        """Record the engine."""
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(f"{engine}\n", encoding="utf-8")

    def remove(self) -> None:
        """Record none: the stack has nothing that an engine could know of."""
        self.path.unlink(missing_ok=True)

    def choose(self, wanted: str | None, default: str) -> str:
        """The engine to use; raises `Refused` if another one than the stack's is wanted."""
        recorded = self.read()
        if wanted and recorded and wanted != recorded:
            raise Refused(
                f"stack {self._stack} is kept by the engine {recorded!r}, not by {wanted!r}",
                where=str(self.path),
                fix=f"Leave out --engine, or change the stack's engine with "
                f"`slipway engine adopt {self._stack} --engine {wanted}`",
            )
        return wanted or recorded or default


@functools.cache
def pulumi_command(engine: str) -> PulumiCommand:
    """What runs the engine's command lines; raises `MachineUnfit` where the Pulumi CLI is missing or too old."""
    if engine == LOCAL:
        from local.engine.command import Engine  # noqa: PLC0415 - only this engine needs it

        return Engine()
    fix = "Install it (https://www.pulumi.com/docs/install/), or use the local engine: --engine local"
    try:
        return PulumiCommand()
    except FileNotFoundError:
        raise MachineUnfit("the Pulumi CLI is not on PATH", fix=fix) from None
    except InvalidVersionError as error:
        raise MachineUnfit(str(error), fix=fix) from None


def default_engine(*, team: bool) -> str:
    """The engine of a stack that has none yet: the Pulumi CLI for a team that has it."""
    return PULUMI if team and shutil.which("pulumi") else LOCAL


def backend_env(config_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Where the Pulumi CLI keeps state: where it is told to, else in files below the configuration directory.

    It is told by PULUMI_BACKEND_URL, by `backend` in Pulumi.yaml, by an access token or by `pulumi login`
    (https://www.pulumi.com/docs/iac/concepts/state-and-backends/).
    """
    told = environ.get("PULUMI_BACKEND_URL") or environ.get("PULUMI_ACCESS_TOKEN")
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if told or (home / "credentials.json").is_file() or _names_backend(config_dir / "Pulumi.yaml"):
        return {}
    state = config_dir / ".slipway" / "state"
    state.mkdir(parents=True, exist_ok=True)
    return {"PULUMI_BACKEND_URL": f"file://{state.absolute()}"}


def _names_backend(project: Path) -> bool:
    try:
        settings = yaml.load(project.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (OSError, yaml.YAMLError):
        return False  # the CLI itself says what is wrong with it
    return isinstance(settings, dict) and bool(settings.get("backend"))
