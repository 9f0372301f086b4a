"""Opens what a stack has in its own cluster: its record and its lock; and the outputs of the stacks it refers to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from adapters.errors import BadInput, SlipwayError
from adapters.kubernetes import Kubernetes
from adapters.passphrase import Passphrase
from local.engine.journal import Journal
from local.engine.lock import StackLock, break_lock
from local.engine.model import Connection
from local.engine.project import Project, Stack
from local.engine.providers import Clients
from local.engine.record import RecordStore
from local.engine.values import Tree


@dataclass(frozen=True)
class Backend:
    """A stack's record, opened with the stack's key; a context manager that closes the connection.

    `clients` have that connection too: the stack's objects mostly lie in the same cluster.
    """

    stack: Stack
    clients: Clients
    kube: Kubernetes
    store: RecordStore

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *_: object) -> None:
        self.kube.close()

    @classmethod
    def open(cls, stack: Stack, crypter: Passphrase) -> Backend:
        """Raises `Unreachable`, or `BadInput` for an unknown context."""
        cluster, clients = stack.cluster(), Clients()
        kube = clients.of(Connection(cluster.kubeconfig, cluster.context))
        return cls(stack, clients, kube, RecordStore(kube, stack.project.name, stack.name, crypter.key))

    @contextlib.contextmanager
    def tidying(self) -> Iterator[None]:
        """Old generations of the record go while the body runs, which waits for the cluster most of the time.

        What cannot go now goes the next time.
        """
        with ThreadPoolExecutor(1) as aside:
            pruned = aside.submit(self.store.prune)
            yield
            with contextlib.suppress(SlipwayError):
                pruned.result()

    def lock(self) -> StackLock:
        """The stack's lock, to be entered."""
        return StackLock(self.kube, self.stack.project.name, self.stack.name)

    def break_lock(self) -> str | None:
        """Free the lock whoever holds it, and return who that was."""
        return break_lock(self.kube, self.stack.project.name, self.stack.name)


class References:
    """Outputs of other stacks, each from the record in its own cluster."""

    def __init__(self, project: Project, environ: Mapping[str, str]) -> None:
        self._project, self._environ = project, environ

    def __call__(self, name: str) -> Mapping[str, Tree]:
        """`name` may be `organization/project/stack`; raises `BadInput` for a stack that has no outputs yet."""
        stack = self._project.stack(name)
        with Backend.open(stack, stack.crypter(self._environ)) as backend:
            journal = Journal(backend.store)
        if not journal.updates:
            raise BadInput(
                f"the stack {stack.name} that is referred to has never been updated",
                where=f"StackReference {name}",
                fix=f"Run `slipway up {stack.name}` first",
            )
        return journal.outputs
