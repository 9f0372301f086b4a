"""How long a bad release lasts: from its first bad answer to the alert, and from the alert to the release before.

    .venv/bin/python benchmarks/restore.py [--runs N]

It brings up a local platform of its own. Each time a release that fails one request of five is promoted to prod under
twenty requests a second in the cluster's network, past its smoke suite, and nobody touches anything until prod is back.
Beside it: what the documented samples of two others take to decide, which is arithmetic and not a measurement, with
their own interval and with the one that is used here. A ratio is over our median.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests, whose tools are used here, are no package

from benchmarks.own_platform import own_platform
from tests.e2e.bad_release import FAILS, PROD, Moments, Shop, suffer

_INTERVAL_S = 5
"""Seconds between two looks of Prometheus at a service."""


@dataclass(frozen=True)
class Sample:
    """Another one's documented example: it decides after so many failed looks, an interval apart."""

    name: str
    looks: int
    interval_s: int


_SAMPLES = (
    # https://docs.flagger.app/usage/how-it-works: interval 1m, threshold 10
    Sample("Flagger", looks=10, interval_s=60),
    # https://argo-rollouts.readthedocs.io/en/stable/features/analysis/: interval 5m, failureLimit 3
    Sample("Argo Rollouts", looks=3, interval_s=300),
)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="how often it is done (%(default)s)")
    runs = parser.parse_args().runs
    with own_platform() as platform, tempfile.TemporaryDirectory() as directory:
        shop = Shop(platform, Path(directory) / "shop")
        platform.succeeds(
            "promote", shop.build("\n        # the first"), PROD, "--override", "--reason", "benchmark", "--yes"
        )
        platform.succeeds("settle", PROD, "--now", "--yes")
        _print([suffer(platform, shop.build(f"{FAILS}  # {run}")) for run in range(runs)])


def _print(runs: Sequence[Moments]) -> None:
    detected, restored = [each.detected_s for each in runs], [each.restored_s for each in runs]
    ours = median(detected)
    print(f"\n{len(runs)} bad releases, 20 requests a second, {os.cpu_count()} cores\n")
    print("| | bad answer to alert | ratio | alert to restored |\n|---|---:|---:|---:|")
    print(f"| Slipway, median | {ours:.1f} s | 1.0 x | {median(restored):.1f} s |")
    print(f"| Slipway, worst | {max(detected):.1f} s | {max(detected) / ours:.1f} x | {max(restored):.1f} s |")
    for sample in _SAMPLES:
        for said, interval_s in (("its sample", sample.interval_s), ("our interval", _INTERVAL_S)):
            decides_s = sample.looks * interval_s
            looks = f"{sample.looks} looks x {interval_s} s"
            print(f"| {sample.name}, {said}: {looks} | {decides_s} s | {decides_s / ours:.1f} x | |")


if __name__ == "__main__":
    main()
