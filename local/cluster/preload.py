"""Imports OCI archives into the node's containerd, from outside of the cluster.

ctr streams them through containerd's socket, which is reachable at the supervisor's root directory, so the archives
may lie anywhere. Nothing removes them: the kubelet collects no images here (see `configs.kubelet`).
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.command import run
from adapters.errors import BadInput
from local.cluster.process import inner_path
from local.cluster.spec import CONTAINERD_SOCKET

_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"


def preload(supervisor: int, archives: Sequence[Path]) -> None:
    """Import those of `archives` that the node does not have."""
    ctr = ["ctr", f"--address={inner_path(supervisor, CONTAINERD_SOCKET)}", "--namespace=k8s.io", "images"]
    present = _present(run([*ctr, "list"]))
    missing = [archive for archive in archives if not contents(archive) <= present]
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda archive: run([*ctr, "import", str(archive)]), missing):
            pass


def _present(listing: str) -> set[tuple[str, str]]:
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {(row[0], row[2]) for row in rows}


def contents(archive: Path) -> set[tuple[str, str]]:
    """Names and digests of the images in an archive; raises `BadInput` where it is none."""
    try:
        with tarfile.open(archive) as tar:
            index = tar.extractfile("index.json")
            manifests = json.loads(index.read())["manifests"] if index else []
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        raise BadInput(f"this is no OCI archive: {error}", where=str(archive)) from None
    return {(_name(manifest.get("annotations", {})), manifest["digest"]) for manifest in manifests}


def _name(annotations: dict[str, str]) -> str:
    return annotations.get(_FULL_NAME) or annotations.get(_NAME, "")
