"""Alerts as Alertmanager's webhook tells of them, version 4.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.errors import BadInput

_LABEL = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,62}")
_RELEASE = re.compile(r"[0-9a-f]{12}")
_FORM = "the JSON of Alertmanager's webhook, version 4, of alerts with the labels environment, service and release"


@dataclass(frozen=True)
class Alert:
    """An alert on a release: 12 hex digits of its image's digest. `since` is when it began to fire, ISO 8601, UTC."""

    name: str
    environment: str
    service: str
    release: str
    since: str
    fires: bool = True
    """False once it is resolved."""

    @property
    def key(self) -> str:
        """What is the same however often, and from however many Alertmanagers, the alert arrives."""
        said = json.dumps([self.name, self.environment, self.service, self.release, self.since])
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    @property
    def firing(self) -> datetime:
        """Since when it fires."""
        return datetime.fromisoformat(self.since)

    def to_json(self) -> dict[str, Any]:
        """For the queue on disk."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.name} on {self.service} {self.release} in {self.environment}"


def parse(body: bytes) -> list[Alert]:
    """The alerts in a webhook's body that ask for a rollback; raises `BadInput` for what is no such body.

    Alerts that ask for nothing are left out: a route that was set too wide does no harm.
    """
    try:
        sent = json.loads(body)
        asking = [each for each in sent["alerts"] if each["labels"].get("action") == "rollback"]
        return [_alert(each) for each in asking]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise BadInput("this is no message of an Alertmanager", allowed=_FORM) from None


def _alert(sent: Mapping[str, Any]) -> Alert:
    labels = sent["labels"]
    since = datetime.fromisoformat(sent["startsAt"])
    if since.tzinfo is None or sent["status"] not in ("firing", "resolved"):
        raise ValueError
    return Alert(
        name=_matching(_LABEL, labels["alertname"]),
        environment=_matching(_LABEL, labels["environment"]),
        service=_matching(_LABEL, labels["service"]),
        release=_matching(_RELEASE, labels["release"]),
        since=since.astimezone(UTC).isoformat(timespec="milliseconds"),
        fires=sent["status"] == "firing",
    )


def _matching(form: re.Pattern[str], text: str) -> str:
    if not form.fullmatch(text):
        raise ValueError
    return text
