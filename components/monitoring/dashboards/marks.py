"""Moments that dashboards mark: a release begins to serve, production goes back by itself."""

from __future__ import annotations

from components.monitoring.dashboards.board import Mark

_STEP = "1m"


def moments(environment: str = "", service: str = "") -> tuple[Mark, ...]:
    """Of an environment and a service in it, or of all."""
    place = f'environment="{environment}"' if environment else ""
    where = ", ".join(filter(None, ['job="services"', place, f'service="{service}"' if service else ""]))
    return _releases(where), _rollbacks(place)


def _releases(where: str) -> Mark:
    """Releases that answer now and did not a minute ago.

    Read from the services themselves, so that every way to a new release shows, a plain `up` too.
    """
    by, series = "environment, service, release", f"up{{{where}}}"
    begun = f"count by ({by}) ({series} == 1) unless count by ({by}) ({series} offset {_STEP} == 1)"
    return Mark("Releases", "{{service}} {{release}} in {{environment}}", begun, "blue")


def _rollbacks(place: str) -> Mark:
    """What `slipway serve` took back: `slipway history` says for which alert."""
    matchers = ", ".join(filter(None, ['result="rolled_back"', place]))
    gone_back = f"increase(slipway_rollbacks_total{{{matchers}}}[{_STEP}]) > 0"
    return Mark("Rollbacks", "{{environment}} went back by itself", gone_back, "red")
