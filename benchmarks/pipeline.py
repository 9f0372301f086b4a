"""From a push to test: a one-line change of hello through what ci.yml and deploy.yml run for it, stage by stage.

    .venv/bin/python benchmarks/pipeline.py [--runs N]

It brings up a local platform of its own. The linters and the unit tests are those of this repository, by the targets
of `make` that the workflows call; the release is built of a repository with the change, scanned as far as this machine
can, pushed, and promoted to test past its smoke suite. On GitHub the jobs of tests run side by side, and each first
installs what it needs; the integration and end-to-end tests, some 20 minutes, are not run here. What is done several
times is a median; a ratio is over the whole.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests, whose tools are used here, are no package

from adapters.paths import REPOSITORY
from benchmarks.own_platform import own_platform
from tests.e2e.platform import Platform
from tests.e2e.source import Source


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="how often it is done (%(default)s)")
    runs = parser.parse_args().runs
    checks = {"lint": _timed(lambda: _make("lint")), "unit tests": _timed(lambda: _make("unit"))}
    with own_platform() as platform, tempfile.TemporaryDirectory() as directory:
        source = Source(Path(directory) / "shop")
        found = [_push(platform, source, number) for number in range(runs)]
    _print(checks | {stage: median(each[stage] for each in found) for stage in found[0]})


def _push(platform: Platform, source: Source, number: int) -> Mapping[str, float]:
    """Seconds by stage."""
    source.change(_greeting(number), _greeting(number + 1))
    began = time.monotonic()
    tag = source.build(platform)
    built_s = time.monotonic() - began
    began = time.monotonic()
    steps: dict[str, float] = json.loads(platform.succeeds("promote", tag, "test", "--json").out)["seconds"]
    promoted_s = time.monotonic() - began
    return {
        "build, scan, sign, push": built_s,
        "promotion: start-up, gates, commit, record": promoted_s - steps["update"] - steps["verify"],
        "promotion: update": steps["update"],
        "promotion: smoke": steps["verify"],
    }


def _greeting(number: int) -> str:
    return f'"{"Hello again" + ", again" * number} from'


def _make(target: str) -> None:
    subprocess.run(["make", "--silent", target], cwd=REPOSITORY, check=True, capture_output=True)


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _print(stages: Mapping[str, float]) -> None:
    whole = sum(stages.values())
    print(f"\na one-line change of hello, from its push to test, {os.cpu_count()} cores, one stage after the other\n")
    print("| stage | seconds | ratio |\n|---|---:|---:|")
    for stage, seconds in {**stages, "all of it": whole}.items():
        print(f"| {stage} | {seconds:.1f} s | {seconds / whole:.2f} x |")


if __name__ == "__main__":
    main()
