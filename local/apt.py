"""Installs Debian packages, only those that are missing, saying so first and starting none of their services."""

from __future__ import annotations

import os
import shutil

from adapters.command import CommandFailed, run
from adapters.errors import MachineUnfit
from adapters.progress import step

_OWN_CLUSTER = (
    "Or use a cluster of your own, which needs none of this: name its context in the stack files (see README.md)"
)


def ensure(*packages: str) -> None:
    """Install those of `packages` that are missing; raises `MachineUnfit` where that cannot be done."""
    missing = _missing(packages)
    if not missing:
        return
    _require_debian_and_root(missing)
    with step(f"installing the Debian packages {', '.join(missing)}"):
        _install(missing)


def check(*packages: str) -> None:
    """Raises `MachineUnfit` where `ensure` would for the same; changes nothing."""
    if missing := _missing(packages):
        _require_debian_and_root(missing)


def _missing(packages: tuple[str, ...]) -> list[str]:
    if shutil.which("dpkg-query") is None:
        return list(packages)
    return [package for package in packages if not _installed(package)]


def _installed(package: str) -> bool:
    try:
        return run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]) == "installed"
    except CommandFailed:
        return False  # dpkg has never heard of it


def _require_debian_and_root(missing: list[str]) -> None:
    names = ", ".join(missing)
    if shutil.which("apt-get") is None:
        raise MachineUnfit(
            f"the packages {names} are missing and there is no apt-get to install them", fix=_OWN_CLUSTER
        )
    if os.geteuid() != 0:
        raise MachineUnfit(
            f"the packages {names} are missing and only root may install them",
            fix=f"Run as root, or install them yourself. {_OWN_CLUSTER}",
        )


def _install(packages: list[str]) -> None:
    """`RUNLEVEL=1` keeps maintainer scripts from starting services; source: Debian's invoke-rc.d(8)."""
    environment = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    arguments = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    try:
        run(arguments, env=environment)
    except CommandFailed:
        # A machine that never looked has no lists, or old ones; look once, then the error is real.
        run(["apt-get", "update", "--quiet"], env=environment)
        run(arguments, env=environment)
