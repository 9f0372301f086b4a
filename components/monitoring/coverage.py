"""What the monitoring watches, and what it does not: by the sources of metrics that it has."""

from __future__ import annotations

from collections.abc import Mapping

from components.monitoring import rules
from components.monitoring.sources import Source

PRESENT = rules.BASIC | {Source.ALERTMANAGER}
"""The sources that the stack `monitoring` scrapes."""


def unwatched() -> Mapping[str, list[str]]:
    """The alerts that are left out, by what they lack."""
    found: dict[str, list[str]] = {}
    for alert, lack in rules.unwatched(PRESENT).items():
        found.setdefault(lack, []).append(alert)
    return found
