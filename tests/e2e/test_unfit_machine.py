"""Machines on which no local platform can be made: said at once, in one paragraph, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.errors import MachineUnfit
from adapters.paths import REPOSITORY
from tests.e2e.platform import SLIPWAY, Done

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take root's rights away, or mount a disk")

# Somebody who may read the checkout, wherever it lies, and write nothing.
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NOBODY += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
# A full disk in a mount namespace that ends with the command; what is left on it is shown at the end.
ON_SMALL_DISK = 'mount -t tmpfs -o size=16m small "$0" && { "$@"; code=$?; find "$0" -mindepth 1; exit $code; }'


@dataclass(frozen=True)
class Machine:
    """A machine that has never seen Slipway."""

    home: Path

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def up(self, *within: str, path: str | None = None) -> Done:
        """Run `slipway up` by the command `within`, with another PATH if given."""
        own = {"SLIPWAY_STATE_DIR": str(self.home / "state"), "SLIPWAY_CACHE_DIR": str(self.cache)}
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
        done = subprocess.run(
            [*within, *SLIPWAY, "up", "--yes"],
            env=environ | own | {"PATH": path or os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def assert_untouched(self) -> None:
        assert [path for path in self.home.rglob("*") if path != self.cache] == []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    home = tmp_path / "home"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    return Machine(home)


def _assert_explained(done: Done, *words: str) -> None:
    assert done.code == MachineUnfit.exit_code, done.said
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1, done.err
    for word in words:
        assert word in done.err, done.err


def test_without_root_the_way_to_a_cluster_of_ones_own_is_shown(machine: Machine) -> None:
    done = machine.up(*NOBODY)
    _assert_explained(done, "only root may", "Run as root", "a cluster of your own", "README.md")
    machine.assert_untouched()


def test_a_go_that_is_too_old_is_named_with_the_one_that_is_needed(machine: Machine, tmp_path: Path) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text("#!/bin/sh\necho go1.20\n")
    go.chmod(0o755)
    done = machine.up(path=f"{go.parent}:{os.environ['PATH']}")
    _assert_explained(done, "Go is too old: go1.20", "Go 1.26 or newer", "a cluster of your own")
    machine.assert_untouched()


def test_without_go_where_to_get_it_is_said(machine: Machine, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("dpkg-query", "apt-get", "git"):
        (programs / program).symlink_to(f"/usr/bin/{program}")
    done = machine.up(path=str(programs))
    _assert_explained(done, "Go is not installed", "go.dev/dl", "a cluster of your own")
    machine.assert_untouched()


def test_a_disk_too_small_to_build_on_is_named_and_left_empty(machine: Machine) -> None:
    machine.cache.mkdir()
    done = machine.up("unshare", "--mount", "--", "sh", "-c", ON_SMALL_DISK, str(machine.cache))
    _assert_explained(done, str(machine.cache), "not enough disk space", "at least 6 GiB", "SLIPWAY_CACHE_DIR")
    machine.assert_untouched()
