"""A local platform of a benchmark's own, gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from tests.e2e.platform import Platform, slipway


@contextlib.contextmanager
def own_platform() -> Iterator[Platform]:
    """As `slipway up` makes it, in a state directory that nobody else uses."""
    name = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as state:
        env = {"SLIPWAY_STATE_DIR": state, "SLIPWAY_CLUSTER": name}
        os.environ |= env
        # Whoever waits for a command mostly has run it before, so that Python has kept its bytecode.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            made = slipway("up", "--yes", env=env)
            cluster = clusters.find(name)
            if made.code or cluster is None:
                sys.exit(made.said)
            config_dir = Path(json.loads(slipway("status", "--json", env=env).out)["config_dir"])
            with contextlib.closing(Kubernetes.connect(kubeconfig=str(cluster.kubeconfig), context=None)) as kube:
                yield Platform(config_dir, cluster, kube, env)
        finally:
            slipway("down", "--delete-data", "--yes", env=env)
