"""Clusters that tests bring up and take down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import cluster as clusters


@contextlib.contextmanager
def running(spec: clusters.ClusterSpec, state: Path) -> Iterator[clusters.Cluster]:
    """A cluster with a state directory of its own, which stays named all the while: a Cluster finds its files by it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_STATE_DIR", str(state))
        try:
            yield clusters.up(spec)
        finally:
            clusters.down(spec.name)
