"""Builds the tools of others that tests let judge us, where nobody would wait for it: `python -m tests.tools.build`.

cosign takes four minutes of a core and more; tests that need it are skipped until it is there. The others are built by
whoever asks for them.
"""

from __future__ import annotations

from pathlib import Path

from local import gobuild

_HERE = Path(__file__).resolve().parent
_COSIGN_PACKAGES = ["github.com/sigstore/cosign/v3/cmd/cosign"]


def find_cosign() -> Path | None:
    """The program, if it was built."""
    built = gobuild.find(_HERE / "cosign", _COSIGN_PACKAGES)
    return built["cosign"] if built else None


def dashboard_check() -> Path:
    """The program that reads dashboards by Grafana's own schema, built in less than a minute if it was not."""
    return gobuild.build(_HERE / "dashboard-check", ["slipway.local/dashboard-check"])["dashboard-check"]


def act() -> Path:
    """What runs workflows on this machine, built in half a minute if it was not."""
    return gobuild.build(_HERE / "act", ["github.com/nektos/act"])["act"]


if __name__ == "__main__":
    print(gobuild.build(_HERE / "cosign", _COSIGN_PACKAGES)["cosign"])
