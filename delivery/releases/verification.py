"""Verification: a suite run against an environment, and its result signed and attached to the release that runs there.

A result is recorded whether it passed or failed; a failure revokes the pass before it. The suite's JUnit report is kept
with it in the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.errors import BadInput
from adapters.registry import digest_of
from components.settings import EnvironmentSettings
from delivery.images import RELEASE_DIGITS
from delivery.releases.proof import MANUAL, Kind, Piece
from delivery.releases.running import connect
from delivery.releases.signing import Signer
from delivery.releases.store import ReleaseStore
from delivery.releases.subject import FAIL, PASS, Connect, Subject, attach, subject_of
from delivery.releases.suite import SuiteProcess, SuiteResult, find_suite, suites_of
from delivery.workspace import Workspace

Start = Callable[[Path], SuiteProcess]

DEADLINE_S = 600.0
"""How long a suite may take unless told otherwise."""


@dataclass(frozen=True)
class Verifier:
    """Runs suites against one environment. `urls` say where its services are reached; `say` is given progress.

    `controls` are the releases of which a pod serves beside a service's own while that bakes. `start` begins to load a
    suite's process; whoever has one loaded by then gives that.
    """

    subject: Subject
    store: ReleaseStore
    signer: Signer
    urls: Mapping[str, str]
    suites: Path
    say: Callable[[str], None]
    controls: Mapping[str, str] = field(default_factory=dict)
    start: Start = SuiteProcess

    def run(self, suite: str, deadline_s: float = DEADLINE_S) -> Piece:
        """Run a suite and attach what came of it; `predicate["result"]` of the piece is `pass` or `fail`.

        Raises `SlipwayError` if what runs changed while the suite ran.
        """
        folder, subject = find_suite(self.suites, suite), self.subject
        self._say_what(suite)
        with self.start(folder) as process:
            result = process.run(
                environment=subject.stack,
                urls=self.urls,
                releases={name: found.release for name, found in subject.running.items()},
                controls=self.controls,
                deadline_s=deadline_s,
            )
        self._say_result(suite, result)
        subject.require_unchanged()
        predicate: dict[str, Any] = {
            "suite": suite,
            "result": PASS if result.passed else FAIL,
            "note": result.why,
            "seconds": round(result.seconds, 1),
        }
        blobs = {}
        if result.report is not None:
            predicate["report"] = digest_of(result.report)
            blobs["report.xml"] = result.report
        return attach(self.store, subject, self.signer, Kind.VERIFICATION, predicate, blobs=blobs)

    def _say_what(self, suite: str) -> None:
        running = ", ".join(f"{name} {found.release}" for name, found in self.subject.running.items())
        self.say(f"{suite} of {self.subject.stack}: {running} …")
        if unreached := sorted(self.subject.running.keys() - self.urls.keys()):
            self.say(f"  not reached from here, so not tested: {', '.join(unreached)}")

    def _say_result(self, suite: str, result: SuiteResult) -> None:
        self.say(f"{suite} {'passed' if result.passed else 'FAILED'} in {result.seconds:.1f} s: {result.why}")
        for failure in result.failures:
            self.say(f"  {failure.test}")
            for line in failure.lines:
                self.say(f"    {line}")


def verify(
    workspace: Workspace,
    stack: str,
    suite: str,
    signer: Signer,
    *,
    store: ReleaseStore,
    say: Callable[[str], None],
    urls: Mapping[str, str] | None = None,
    deadline_s: float = DEADLINE_S,
    connect: Connect = connect,
    start: Start = SuiteProcess,
) -> Piece:
    """Run a suite against what an environment runs and attach the result, a pass or a fail, to its release.

    Raises `Drifted` if the stack's file names something else than what runs, `BadInput` if that is no release, and
    `SlipwayError` if it changed while the suite ran.
    """
    settings = workspace.environment(stack)
    reached, controls = urls_of(workspace, settings, urls or {}), control_releases(settings)
    suites = suites_of(workspace.config_dir)
    find_suite(suites, suite)
    with subject_of(workspace, stack, store, connect) as subject:
        return Verifier(subject, store, signer, reached, suites, say, controls, start).run(suite, deadline_s)


def control_releases(settings: EnvironmentSettings) -> dict[str, str]:
    """What the controls of an environment call themselves, by service."""
    digests = {service: str(image.digest) for service, image in settings.controls.items()}
    return {service: digest.removeprefix("sha256:")[:RELEASE_DIGITS] for service, digest in digests.items()}


def record_by_hand(store: ReleaseStore, subject: Subject, signer: Signer, *, result: str, note: str) -> Piece:
    """Attach what a person found out by hand, `pass` or `fail`."""
    predicate = {"suite": MANUAL, "result": result, "note": note}
    return attach(store, subject, signer, Kind.VERIFICATION, predicate)


def urls_of(workspace: Workspace, settings: EnvironmentSettings, given: Mapping[str, str]) -> dict[str, str]:
    """Where an environment's services are reached from here: as `given`, by the platform's links, by their ingress.

    Raises `BadInput` if none is.
    """
    if unknown := sorted(given.keys() - settings.services.keys()):
        raise BadInput(
            f"there is no service {unknown[0]!r} in {settings.stack}", allowed=", ".join(sorted(settings.services))
        )
    links = workspace.platform.links()
    urls: dict[str, str] = {}
    for service, shape in settings.services.items():
        if (url := given.get(service) or links.get(f"{settings.stack}/{service}")) is not None:
            urls[service] = url
        elif shape.ingress is not None and "*" not in shape.ingress.host:
            scheme = "https" if shape.ingress.tls_secret else "http"
            urls[service] = f"{scheme}://{shape.ingress.host}{shape.ingress.path}"
    if not urls:
        raise BadInput(
            f"no service of {settings.stack} is reached from here: none has a link or an ingress",
            fix="Say where they are by --url SERVICE=URL, such as the address of a `kubectl port-forward`",
        )
    return urls
