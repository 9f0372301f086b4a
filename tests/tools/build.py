"""Builds the tools of others that tests let judge us, where nobody would wait for it: `python -m tests.tools.build`.

cosign takes four minutes of a core and more; tests that need it are skipped until it is there.
"""

from __future__ import annotations

from pathlib import Path

from local import gobuild

_COSIGN = Path(__file__).resolve().parent / "cosign"
_COSIGN_PACKAGES = ["github.com/sigstore/cosign/v3/cmd/cosign"]
_DASHBOARD_CHECK = Path(__file__).resolve().parent / "dashboard-check"


def find_cosign() -> Path | None:
    """The program, if it was built."""
    built = gobuild.find(_COSIGN, _COSIGN_PACKAGES)
    return built["cosign"] if built else None


def dashboard_check() -> Path:
    """The program that reads dashboards by Grafana's own schema, built in less than a minute if it was not."""
    return gobuild.build(_DASHBOARD_CHECK, ["slipway.local/dashboard-check"])["dashboard-check"]


if __name__ == "__main__":
    print(gobuild.build(_COSIGN, _COSIGN_PACKAGES)["cosign"])
