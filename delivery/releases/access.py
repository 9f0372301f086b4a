"""Opens the registry that a stack names, and the releases in it, for as long as a command needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from adapters.paths import cache_dir
from adapters.registry import RegistryClient
from adapters.stackfile import StackFile
from delivery.images import open_registry
from delivery.releases.kept import Kept
from delivery.releases.signing import Trust
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace


@contextlib.contextmanager
def open_store(workspace: Workspace, stack: str) -> Iterator[tuple[ReleaseStore, RegistryClient]]:
    """The releases in the registry of an environment, judged by whom the environment trusts.

    Raises `BadInput` for a stack that has no environment's configuration, `Unreachable` once the registry is asked.
    """
    settings = workspace.environment(stack)
    file = StackFile.load(workspace.path(stack))
    with open_registry(settings, file, lambda: workspace.crypter(stack)) as registry:
        trust = Trust(settings.signers, settings.trust_config)
        yield ReleaseStore(registry, trust, Kept(cache_dir() / "proof")), registry
