"""What the receiver sees to when no alert waits: pushes what git's main lacks, ends windows that are over, measures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from delivery.factory import Factory
from delivery.releases.access import open_store
from delivery.releases.journal import Journal
from delivery.releases.reconciled import unreconciled
from delivery.releases.records import read_records
from delivery.serving.answering import AUTHOR
from delivery.serving.deliveries import Deliveries, Delivery, delivery_of
from delivery.serving.inbox import Inbox
from delivery.serving.metrics import Metrics
from delivery.settling import settle
from delivery.workspace import Workspace


class Chores:
    """Done by the worker; `is_ready` once the registry and the configuration directory could be read."""

    def __init__(
        self, factory: Factory, inbox: Inbox, metrics: Metrics, deliveries: Deliveries, say: Callable[[str], None]
    ) -> None:
        self._factory, self._inbox, self._metrics = factory, inbox, metrics
        self._deliveries, self._say = deliveries, say
        self.is_ready = False

    def __call__(self) -> None:
        """All of them; raises what the last one failed with."""
        workspace = self._factory.workspace()
        self._see_what_struggles(workspace)
        self._settle(workspace)
        self._reconcile(workspace)
        self._measure(workspace)
        self.is_ready = True

    def _see_what_struggles(self, workspace: Workspace) -> None:
        """First of all, and asking nobody: it is to be known also while registry and cluster are away."""
        struggling, repository = self._inbox.struggling(), workspace.repository
        for name in environments(workspace):
            begun = Journal(repository, name).read()
            was_given_up = begun is not None and begun.by == AUTHOR
            self._metrics.unfinished(name, is_so=name in struggling or was_given_up)

    def _settle(self, workspace: Workspace) -> None:
        """Take controls away whose time is over. A freeze stops that like all that happens by itself."""
        now = datetime.now(UTC)
        for name in environments(workspace):
            settings = workspace.environment(name)
            is_frozen = settings.freeze is not None and settings.freeze.is_on(now)
            if settings.baking and now >= settings.baking.until and not is_frozen:
                settle(self._factory, workspace, name, early=False, name=AUTHOR)

    def _reconcile(self, workspace: Workspace) -> None:
        """Push, so that git's main says what runs; where that is refused, it is shown until somebody sees to it."""
        repository = workspace.repository
        if repository.is_repository and (followed := repository.upstream) and repository.unpushed():
            remote, branch = followed
            if why := repository.push(remote, "HEAD", branch):
                self._say(f"{remote} does not take what was committed: {why}")
        for name in environments(workspace):
            is_there = not unreconciled(workspace.config_dir, workspace.path(name))
            self._metrics.reconciled(name, is_so=is_there)

    def _measure(self, workspace: Workspace) -> None:
        latest: dict[str, Delivery] = {}
        for name in environments(workspace):
            with open_store(workspace, name) as (store, registry):
                latest[name] = delivery_of(workspace.environment(name), read_records(store, registry, name))
        self._deliveries.latest = latest


def environments(workspace: Workspace) -> list[str]:
    """The names of the environments."""
    return [name for name, stack in workspace.stacks.items() if stack.kind == "environment"]
