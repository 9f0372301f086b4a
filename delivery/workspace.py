"""A configuration directory as the commands see it: its stacks, their order, configuration and engine."""

from __future__ import annotations

import contextlib
import graphlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pulumi.automation import LocalWorkspace, PulumiCommand
from pulumi.automation import Stack as AutomationStack
from pulumi.automation.errors import CommandError, StackNotFoundError

from adapters.errors import BadInput, Refused
from adapters.git import Repository
from adapters.passphrase import Passphrase, find_passphrase
from adapters.stackfile import StackFile, stack_names, stack_path
from components.reading import read_file
from components.settings import AnySettings, EnvironmentSettings
from delivery.engines import LOCAL, PULUMI, Marker, backend_env, default_engine
from delivery.platform import Platform, TeamPlatform
from delivery.stack import ManagedStack, failure_of

_STANDS_ON = ("shared",)
"""Configuration keys that name another stack that has to be there first."""


class UnknownStack(BadInput):
    """The engine of a stack has never heard of it."""


@dataclass(frozen=True)
class DeclaredStack:
    """A stack file, read without judging it: also a stack with a mistake in its file has an order and a status."""

    name: str
    file: StackFile

    @property
    def kind(self) -> str:
        """What the stack declares: shared, environment, monitoring, github."""
        return str(self.file.get(["kind"]) or "")

    @property
    def stands_on(self) -> tuple[str, ...]:
        """The stacks that have to be updated before this one."""
        return tuple(str(name) for key in _STANDS_ON if (name := self.file.get([key])) is not None)

    @property
    def cluster(self) -> str:
        """The cluster, as a person knows it."""
        cluster = self.file.get(["cluster"])
        named = cluster.get("identifier") or cluster.get("context") if isinstance(cluster, dict) else None
        return str(named or "")

    @property
    def is_repository(self) -> bool:
        """Whether it is the repository on GitHub, which has nothing in any cluster."""
        return self.kind == "github"

    def check_engine(self, engine: str) -> None:
        """Raises `Refused` for an engine that can do nothing for the stack."""
        if self.is_repository and engine == LOCAL:
            raise Refused(
                f"the stack {self.name} is a repository on GitHub, and the local engine changes nothing but clusters",
                where=str(self.file.path),
                fix="Take the Pulumi CLI: docs/github.md says how",
            )

    @property
    def is_guarded(self) -> bool:
        """Whether a person has to agree to each change."""
        return self.name == "prod" or self.file.get(["environment", "protect"]) is True


class Workspace:
    """The stacks of a platform's configuration directory.

    `commands` gives what runs an engine's command lines; `engine` is the one that was asked for, if any.
    """

    def __init__(
        self,
        platform: Platform,
        commands: Callable[[str], PulumiCommand],
        environ: Mapping[str, str],
        engine: str | None = None,
    ) -> None:
        self.platform, self._commands, self.wanted_engine = platform, commands, engine
        self.config_dir = platform.config_dir
        self.environ: Mapping[str, str] = {**environ, **platform.env}
        if not (self.config_dir / "Pulumi.yaml").is_file():
            raise BadInput(
                "this is no configuration directory: it has no Pulumi.yaml",
                where=str(self.config_dir),
                fix="Name another one by --config-dir or SLIPWAY_CONFIG_DIR, or leave both out for the local platform",
            )

    @cached_property
    def repository(self) -> Repository:
        """That of the configuration directory, which may be none yet."""
        return Repository(self.config_dir)

    @property
    def is_team(self) -> bool:
        """Whether this is a team's own directory, not the local platform's."""
        return isinstance(self.platform, TeamPlatform)

    @cached_property
    def stacks(self) -> Mapping[str, DeclaredStack]:
        """All stacks in the order of updates; of those that are free to choose, the guarded ones come last."""
        found = [DeclaredStack(name, StackFile.load(self.path(name))) for name in stack_names(self.config_dir)]
        ordered = {stack.name: stack for stack in sorted(found, key=lambda stack: stack.is_guarded)}
        return {name: ordered[name] for name in _in_order(ordered)}

    def path(self, stack: str) -> Path:
        """The stack's file."""
        return stack_path(self.config_dir, stack)

    def select(self, names: Sequence[str]) -> list[DeclaredStack]:
        """The stacks of these names, in the order of updates; raises `BadInput` for unknown ones.

        For none, all there are in clusters: the repository on GitHub wants an administrator's token, and to be named.
        """
        for name in names:
            if name not in self.stacks:
                raise BadInput(
                    f"there is no stack {name!r}",
                    where=str(self.config_dir),
                    allowed=", ".join(self.stacks) or "none, since there is no stack file",
                )
        wanted = names or [name for name, stack in self.stacks.items() if not stack.is_repository]
        return [stack for name, stack in self.stacks.items() if name in wanted]

    def settings(self, stack: str, *, complete: bool = True) -> AnySettings:
        """The stack's configuration, checked; reads the file anew, since others may have changed it meanwhile."""
        return read_file(StackFile.load(self.path(stack)), complete=complete)

    def environment(self, stack: str) -> EnvironmentSettings:
        """The configuration of a stack that is an environment; raises `BadInput` for any other.

        It is not judged as a whole: an environment is asked about, and mended, also while what it runs is on hold.
        """
        self.select([stack])
        settings = self.settings(stack, complete=False)
        if not isinstance(settings, EnvironmentSettings):
            raise BadInput(
                f"the stack {stack!r} is no environment, so no release runs there",
                where=str(self.path(stack)),
                allowed=", ".join(name for name, found in self.stacks.items() if found.kind == "environment"),
            )
        return settings

    def crypter(self, stack: str) -> Passphrase:
        """Opens the stack's secrets; raises `BadInput` for a wrong passphrase."""
        salt = StackFile.load(self.path(stack)).encryption_salt
        if salt is None:
            raise BadInput(
                "the stack file has no `encryptionsalt` that its secrets could be opened by",
                where=str(self.path(stack)),
                fix="Restore the file from git, or make the stack's secrets anew",
            )
        return Passphrase.open(find_passphrase(self.environ), salt)

    def marker(self, stack: str) -> Marker:
        """Where the stack's engine is recorded."""
        return Marker(self.config_dir, stack)

    def engine_of(self, stack: str) -> str:
        """The engine that keeps the stack; raises `Refused` if another one is wanted, or it can do nothing for it."""
        engine = self.marker(stack).choose(self.wanted_engine, default_engine(team=self.is_team))
        self.stacks[stack].check_engine(engine)
        return engine

    def manage(self, stack: str, *, engine: str | None = None, create: bool = False) -> ManagedStack:
        """The stack in the hands of its engine, or of `engine`.

        A stack the engine does not know is made where `create` allows it; else that is an `UnknownStack`.
        """
        engine = engine or self.engine_of(stack)
        env = dict(self.platform.env)
        if engine == PULUMI:
            env |= backend_env(self.config_dir, self.environ)
        workspace = LocalWorkspace(str(self.config_dir), env_vars=env, pulumi_command=self._commands(engine))
        select = AutomationStack.create_or_select if create else AutomationStack.select
        try:
            return ManagedStack(select(stack, workspace))
        except StackNotFoundError:
            raise UnknownStack(
                f"the engine {engine!r} does not know the stack yet",
                where=str(self.path(stack)),
                fix=f"Make it with `slipway up {stack}`",
            ) from None
        except CommandError as error:
            raise failure_of(error, stack) from error

    def is_made(self, stack: str) -> bool:
        """Whether the stack may have objects: its engine is recorded, or knows of some though nobody recorded it."""
        if self.marker(stack).read() is not None:
            return True
        try:
            return bool(self.manage(stack).resources())
        except UnknownStack:
            return False

    @contextlib.contextmanager
    def warmed(self, stack: str) -> Iterator[None]:
        """Let the engine of a stack load meanwhile, where it is one that can."""
        command = self._commands(self.engine_of(stack))
        warm, cool = getattr(command, "warm", None), getattr(command, "cool", None)
        if warm is None or cool is None:
            yield
            return
        warm(str(self.config_dir))
        try:
            yield
        finally:
            cool()

    def render(self, stack: str, out: Path) -> None:
        """Write the stack's manifests below `out`: the local engine's work, also for stacks that were never made."""
        self.stacks[stack].check_engine(LOCAL)
        arguments = ["render", "--stack", stack, "--out", str(out.absolute())]
        try:
            self._commands(LOCAL).run(arguments, str(self.config_dir), self.platform.env)
        except CommandError as error:
            raise failure_of(error, stack) from error


def _in_order(stacks: Mapping[str, DeclaredStack]) -> list[str]:
    for stack in stacks.values():
        for name in stack.stands_on:
            if name not in stacks:
                raise BadInput(
                    f"the stack stands on {name!r}, which is not there",
                    where=str(stack.file.path),
                    allowed=", ".join(stacks),
                    fix="Correct the name in the stack file",
                )
    try:
        return [*graphlib.TopologicalSorter({name: stack.stands_on for name, stack in stacks.items()}).static_order()]
    except graphlib.CycleError as error:
        raise BadInput(f"stacks stand on each other: {' → '.join(error.args[1])}") from None
