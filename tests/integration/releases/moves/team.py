"""A team's configuration directory with the real registry and git, and as much of a cluster as promotions see.

The engine writes what it was told to run into a file, so that what runs outlives a command that is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.automation import CommandResult

from adapters.errors import SlipwayError, Unreachable
from adapters.git import Repository
from adapters.registry import parse_reference
from delivery.cli import main
from delivery.factory import Seams
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.gates import configuration_hash
from delivery.releases.journal import Entry, Journal
from delivery.releases.proof import Kind, Piece
from delivery.releases.records import Record, read_records
from delivery.releases.signing import KeySigner
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace
from tests.done import Done
from tests.unit.delivery.conftest import FakeEngine

KILLED = 9


class Engine(FakeEngine):
    """Runs what stack files say: `running` is a file with the images of each stack. `on_up` may object, or be slow."""

    def __init__(self, running: Path) -> None:
        super().__init__()
        self._running = running
        self.on_up: Callable[[str, dict[str, str]], None] = lambda _stack, _images: None

    def runs(self, stack: str) -> dict[str, str]:
        known: dict[str, dict[str, str]] = json.loads(self._running.read_text())
        return known.get(stack, {})

    def run(self, args: list[str], cwd: str, *rest: Any, **named: Any) -> CommandResult:
        if args[0] == "up":
            stack = args[args.index("--stack") + 1]
            document = yaml.safe_load((Path(cwd) / f"Pulumi.{stack}.yaml").read_text())
            images = document["config"]["slipway:images"]
            try:
                self.on_up(stack, images)
            except SlipwayError as error:
                self.failures["up", stack] = (error.exit_code, error.paragraph())
            else:
                self.failures.pop(("up", stack), None)
                known = json.loads(self._running.read_text())
                self._running.write_text(json.dumps(known | {stack: images}))
        return super().run(args, cwd, *rest, **named)


class Jobs:
    """A cluster that runs Jobs at once, with the outcome the test has chosen."""

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.deployments: list[dict[str, Any]] = []
        self.fails = False
        self.on_run: Callable[[], None] = lambda: None

    def __call__(self, _: object) -> Jobs:
        return self

    def close(self) -> None:
        """Nothing to close."""

    def get(self, _api_version: str, kind: str, name: str, _namespace: str | None = None) -> dict[str, Any]:
        return {"kind": kind, "metadata": {"name": name}}

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.created.append(obj)
        return obj

    def watch(self, *_: str, **__: object) -> Iterator[tuple[str, dict[str, Any]]]:
        self.on_run()
        yield "ADDED", self.created[-1]
        condition = {"type": "Complete", "status": "True"}
        if self.fails:
            condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed"}
        yield "MODIFIED", self.created[-1] | {"status": {"conditions": [condition]}}

    def list(self, _api_version: str, kind: str, *_: str, **__: str) -> list[dict[str, Any]]:
        if kind == "Deployment":
            return self.deployments
        if kind == "Job":
            return [job | {"metadata": job["metadata"] | {"uid": "1"}} for job in self.created]
        return [{"metadata": {"name": "migrate-x"}, "status": {"containerStatuses": [{"state": {"terminated": {}}}]}}]

    def delete(self, _api_version: str, _kind: str, name: str, *_: str, **__: str) -> None:
        self.deleted.append(name)

    def logs(self, *_: str, **__: int) -> str:
        return "applying 0042\ncolumn exists already"


@dataclass
class Team:
    """What a test sees of it all."""

    directory: Path
    engine: Engine
    jobs: Jobs
    environ: dict[str, str]
    store: ReleaseStore
    registry: Any
    signers: Mapping[str, KeySigner]
    capture: pytest.CaptureFixture[str]
    releases: dict[str, Release]
    smoke: Callable[[str, dict[str, str]], bool] = field(default=lambda _stack, _images: True)
    """Whether a stack passes with the images that run there."""
    seams: dict[str, Any] = field(default_factory=dict)

    def run(self, *args: str) -> Done:
        """Run a command line."""
        code = main(args, self.outside())
        out, err = self.capture.readouterr()
        return Done(code, out, err)

    def outside(self) -> Seams:
        """What lies outside of the commands."""
        given: dict[str, Any] = {
            "commands": lambda _: self.engine,
            "environ": self.environ,
            "verify": self.verify,
            "connect": self.jobs,
            "patience_s": 0,
        }
        return Seams(**given | self.seams)

    def run_until_killed(self, *args: str) -> None:
        """Run a command line in a process that somebody kills; the test sees to that by a patch that calls `die`."""
        child = os.fork()
        if child == 0:
            try:
                self.run(*args)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == KILLED, "it came to its end before it was killed"

    def verify(
        self, workspace: Workspace, stack: str, suite: str, signer: KeySigner, *, store: ReleaseStore, **_: object
    ) -> Piece:
        """In the place of a suite: `smoke` decides."""
        images = self.engine.runs(stack)
        release = store.of_images(images)
        assert release is not None, images
        return store.attach(
            REPOSITORY,
            release.digest,
            Kind.VERIFICATION,
            {
                "stack": stack,
                "suite": suite,
                "result": "pass" if self.smoke(stack, images) else "fail",
                "configuration": configuration_hash(workspace.environment(stack)),
                "note": "" if self.smoke(stack, images) else "GET / answers 500",
            },
            signer,
        )

    def up(self, stack: str) -> None:
        """What runs before a test's first command: what the file says."""
        assert self.run("up", stack, "--yes").code == 0

    def path(self, stack: str) -> Path:
        return self.directory / f"Pulumi.{stack}.yaml"

    def edit(self, stack: str, *, commit: bool = True, **values: Any) -> None:
        """Change values of a stack file."""
        document = yaml.safe_load(self.path(stack).read_text())
        for key, value in values.items():
            document["config"][f"slipway:{key}"] = value
        self.path(stack).write_text(yaml.safe_dump(document, sort_keys=False))
        if commit:
            self.repository.commit([self.path(stack)], f"Edit {stack}")

    def revert(self, commit: str) -> None:
        """As a person does it who has nothing but git."""
        git = ["git", "-C", str(self.directory), "-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run([*git, "revert", "--no-edit", commit], check=True, capture_output=True)

    @property
    def repository(self) -> Repository:
        return Repository(self.directory)

    def config(self, stack: str, *, at: str | None = None) -> dict[str, Any]:
        content = self.path(stack).read_bytes() if at is None else self.repository.content(self.path(stack), at)
        config: dict[str, Any] = yaml.safe_load(content or b"")["config"]
        return config

    def images(self, stack: str) -> dict[str, str]:
        images: dict[str, str] = self.config(stack)["slipway:images"]
        return images

    def has(self, stack: str, release: str) -> bool:
        """Whether the file, git's history and the cluster all have these images, and nothing is left undone."""
        wanted = dict(self.releases[release].services)
        places = (self.images(stack), self.config(stack, at="HEAD")["slipway:images"], self.engine.runs(stack))
        return all(digests(images) == wanted for images in places) and self.journal(stack) is None

    def journal(self, stack: str) -> Entry | None:
        return Journal(self.repository, stack).read()

    def records(self, stack: str) -> list[Record]:
        return list(read_records(self.store, self.registry, stack).records)

    def results(self, stack: str) -> list[tuple[str, str]]:
        """What was recorded of a stack, the latest last: a release's letter, a result."""
        letters = {release.digest: letter for letter, release in self.releases.items()}
        return [(letters[record.release], record.result) for record in self.records(stack)]

    def titles(self, stack: str) -> list[str]:
        """The commits of a stack's file, the latest first."""
        return [commit.title for commit in self.repository.log(self.path(stack))]

    def passes(self, release: str, stack: str, suite: str) -> Piece:
        """Attach a verification that passed."""
        return self.store.attach(
            REPOSITORY,
            self.releases[release].digest,
            Kind.VERIFICATION,
            {"stack": stack, "suite": suite, "result": "pass", "configuration": self.configuration(stack)},
            self.signers["verifier"],
        )

    def configuration(self, stack: str) -> str:
        from adapters.stackfile import StackFile
        from components.reading import read_file
        from components.settings import EnvironmentSettings

        settings = read_file(StackFile.load(self.path(stack)), complete=False)
        assert isinstance(settings, EnvironmentSettings)
        return configuration_hash(settings)

    def name(self, release: str) -> str:
        return self.store.tag_of(self.releases[release])


def digests(images: Mapping[str, str]) -> dict[str, str | None]:
    """The digest of each service's image."""
    return {service: parse_reference(image).digest for service, image in images.items()}


def die() -> None:
    """What `kill -9` does: nothing is cleaned up, nothing more is written."""
    os._exit(KILLED)


def away(*_: object, **__: object) -> Any:
    """In the place of something that does not answer."""
    raise Unreachable("the API server does not answer", where="context ours")


def away_for(times: int) -> Callable[..., None]:
    """In the place of something that does not answer the first few times."""
    left = [None] * times

    def ask(*_: object) -> None:
        if left:
            left.pop()
            away()

    return ask


def git_init(directory: Path) -> None:
    subprocess.run(["git", "-C", str(directory), "init", "--quiet", "--initial-branch=main"], check=True)
