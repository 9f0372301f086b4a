"""What Alertmanager's webhook says, and what is no such webhook."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.errors import BadInput
from delivery.serving.alerts import Alert, parse

LABELS = {
    "alertname": "ReleaseCrashing",
    "action": "rollback",
    "environment": "prod",
    "service": "hello",
    "release": "0123456789ab",
}


def sent(**different: Any) -> dict[str, Any]:
    return {"labels": LABELS, "status": "firing", "startsAt": "2026-11-25T12:00:00.123456789Z"} | different


def body(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode()


def test_an_alert_is_read_with_its_time() -> None:
    (alert,) = parse(body(sent()))
    assert alert == Alert("ReleaseCrashing", "prod", "hello", "0123456789ab", "2026-11-25T12:00:00.123+00:00")


def test_what_asks_for_nothing_is_left_out() -> None:
    assert parse(body(sent(labels=LABELS | {"action": ""}), sent(labels={}))) == []


def test_it_has_the_same_key_however_it_is_told_and_another_one_when_it_fires_again() -> None:
    told = [sent(), sent(annotations={"summary": "x"}), sent(startsAt="2026-11-25T13:00:00.123+01:00")]
    again = sent(startsAt="2026-11-25T12:30:00Z")
    assert len({alert.key for alert in parse(body(*told))}) == 1
    assert len({alert.key for alert in parse(body(sent(), again))}) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"alerts": 3}',
        b'{"alerts": [3]}',
        b"[" * 100_000,
        body(sent(labels=LABELS | {"release": "../../etc"})),
        body(sent(labels=LABELS | {"release": ["0123456789ab"]})),
        body(sent(labels=LABELS | {"environment": "../prod"})),
        body(sent(labels=LABELS | {"environment": ""})),
        body(sent(labels={k: v for k, v in LABELS.items() if k != "service"})),
        body(sent(startsAt="yesterday")),
        body(sent(startsAt="2026-11-25T12:00:00")),
        body(sent(startsAt="9999-12-31T23:59:59-23:59")),
        body(sent(status="maybe")),
        body(sent(), sent(startsAt=None)),
    ],
)
def test_what_is_no_webhook_is_refused_whole(wrong: bytes) -> None:
    with pytest.raises(BadInput, match="no message of an Alertmanager"):
        parse(wrong)
