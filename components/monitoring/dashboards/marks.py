"""Moments that dashboards mark: a release begins to serve."""

from __future__ import annotations

from collections.abc import Mapping

_STEP = "1m"


def releases(where: str = "") -> Mapping[str, str]:
    """Releases that answer now and did not a minute ago; `where` are further matchers.

    Read from the services themselves, so that every way to a new release shows, a plain `up` too.
    """
    by, series = "environment, service, release", f'up{{job="services"{", " + where if where else ""}}}'
    begun = f"count by ({by}) ({series} == 1) unless count by ({by}) ({series} offset {_STEP} == 1)"
    return {"{{service}} {{release}} in {{environment}}": begun}
