"""Puts together what promotions and rollbacks work with: one stack, its lock, its registry, its engine, who acts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adapters.registry import RegistryClient
from adapters.stackfile import StackFile
from delivery.agreement import agree
from delivery.change import Changer
from delivery.factory import Factory
from delivery.releases.access import open_store
from delivery.releases.journal import Journal
from delivery.releases.move import SUITE, Move, Timings, Tools
from delivery.releases.people import signer_for, who
from delivery.releases.proof import Piece
from delivery.releases.store import ReleaseStore
from delivery.releases.suite import SuiteAhead, find_suite, suites_of
from delivery.stack import Outcome
from delivery.workspace import Workspace


@dataclass
class Moving:
    """A stack that is about to be moved, and nobody else moves it. `message` is for the engine's history.

    What verifies it, `suite`, loads while pods get ready.
    """

    factory: Factory
    workspace: Workspace
    stack: str
    store: ReleaseStore
    registry: RegistryClient
    by: str
    urls: Mapping[str, str]
    timings: Timings
    suite: SuiteAhead
    message: str = "slipway"

    def move(self) -> Move:
        """What carries a plan out, or a move that was cut short to its end."""
        signer = signer_for(self.workspace, "verifier")
        seams, say = self.factory.seams, self.factory.console.say

        def update(stack: str) -> Outcome:
            return Changer(self.workspace, self.factory.console, [stack], self.message, self.suite.begin).update(stack)

        def verify(stack: str, suite: str) -> Piece:
            piece: Piece = seams.verify(
                self.workspace,
                stack,
                suite,
                signer,
                store=self.store,
                say=say,
                urls=self.urls,
                start=self.suite.take,
            )
            return piece

        tools = Tools(self.workspace, self.store, signer, update, verify, seams.connect, say, seams.patience_s)
        return Move(tools, self.stack, self.timings)

    def recover(self) -> str | None:
        """Bring what was cut short to its end; a sentence on what was done, None if nothing was cut short."""
        if Journal(self.workspace.repository, self.stack).read() is None:
            return None
        self.message = "slipway: bring what was cut short to its end"
        done = self.move().recover()
        if done:
            self.factory.console.say(f"Done: {done}.")
        return done

    def set_edits_aside(self) -> None:
        """Keep what somebody wrote into the stack's file and did not commit: nobody decided to let it run."""
        repository, path = self.workspace.repository, self.workspace.path(self.stack)
        committed, on_disk = repository.content(path), path.read_bytes()
        if committed is None or repository.is_clean(path):
            return
        kept = Journal(repository, self.stack).keep_edits(on_disk)
        StackFile(path, on_disk).replace(committed)
        repository.unstage(path)
        self.factory.console.say(f"{path.name} had changes that are in no commit; they are kept in {kept}")

    def agree(self, what: str) -> None:
        """Ask where people depend on the stack; see `agreement`."""
        (declared,) = self.workspace.select([self.stack])
        if declared.is_guarded:
            agree(self.factory, f"{what} on cluster {declared.cluster or 'unknown'}")

    def check_ground(self) -> None:
        """Raise before anything is written what would stop the move later, as far as that can be known."""
        workspace, stack = self.workspace, self.stack
        workspace.engine_of(stack)
        find_suite(suites_of(workspace.config_dir), SUITE)
        with contextlib.closing(self.factory.seams.connect(workspace.environment(stack))):
            pass
        workspace.repository.check_clean([workspace.path(stack)])


@contextlib.contextmanager
def look(
    factory: Factory, stack: str, *, name: str | None, urls: Mapping[str, str] | None = None, warm: bool = False
) -> Iterator[Moving]:
    """A stack to plan moves of, without keeping others from it. With `warm` its engine loads meanwhile."""
    timings = Timings()
    workspace = factory.workspace()
    workspace.environment(stack)
    with (
        workspace.warmed(stack) if warm else contextlib.nullcontext(),
        open_store(workspace, stack) as (store, registry),
        SuiteAhead(suites_of(workspace.config_dir) / SUITE) as suite,
    ):
        yield Moving(factory, workspace, stack, store, registry, who(workspace, name), urls or {}, timings, suite)


@contextlib.contextmanager
def moving(
    factory: Factory, stack: str, operation: str, *, name: str | None, urls: Mapping[str, str] | None = None
) -> Iterator[Moving]:
    """A stack to move; raises `Locked` if somebody else does. What is interrupted says what brings it to its end."""
    with look(factory, stack, name=name, urls=urls, warm=True) as found:
        journal = Journal(found.workspace.repository, stack)
        with journal.lock(operation, found.by):
            try:
                yield found
            except KeyboardInterrupt:
                if journal.read() is not None:
                    factory.console.complain(f"`slipway rollback {stack} --recover` brings what was begun to its end.")
                raise
