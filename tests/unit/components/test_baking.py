"""What a stack file says of baking: for how long, what alerts may do, and what serves beside a release meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import BadInput, Refused
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.settings import EnvironmentSettings, Settings

from .conftest import OTHER_DIGEST, environment
from .test_settings import read

CONTROL = f"hello:v1.2.2@{OTHER_DIGEST}"
BAKING = {"since": "2026-11-25T04:00:00Z", "until": "2026-11-25T04:30:00Z", "controls": {"hello": CONTROL}}


def prod(**values: Any) -> EnvironmentSettings:
    settings = read(environment() | values)
    assert isinstance(settings, EnvironmentSettings)
    return settings


def test_only_prod_bakes_as_committed_and_alerts_act_only_there() -> None:
    found = {}
    for stack in ("test", "stage", "prod"):
        settings = Settings.from_file(StackFile.load(REPOSITORY / f"Pulumi.{stack}.yaml"), complete=False)
        assert isinstance(settings, EnvironmentSettings)
        found[stack] = (settings.bake.minutes, settings.automation)
    assert found == {"test": (0, "off"), "stage": (0, "off"), "prod": (30, "on")}


def test_without_a_word_nothing_bakes_and_alerts_do_nothing() -> None:
    config = environment()
    for key in ("bake", "automation"):
        del config[key]
    settings = read(config)
    assert isinstance(settings, EnvironmentSettings)
    assert (settings.bake.minutes, settings.automation, settings.baking, settings.controls) == (0, "off", None, {})


def test_what_serves_beside_a_release_is_named_by_its_digest() -> None:
    assert {service: str(image) for service, image in prod(baking=BAKING).controls.items()} == {"hello": CONTROL}


@pytest.mark.parametrize(
    ("values", "where", "said"),
    [
        ({"automation": "maybe"}, "slipway:automation", "'off', 'observe' or 'on'"),
        ({"automation": True}, "slipway:automation", "'off', 'observe' or 'on'"),
        ({"bake": {"minutes": -1}}, "slipway:bake.minutes", "-1"),
        ({"bake": {"minuts": 30}}, "slipway:bake.minuts", "did you mean 'minutes'"),
        ({"baking": BAKING | {"until": "2026-11-25T04:00:00Z"}}, "slipway:baking", "until is not after since"),
        ({"baking": BAKING | {"since": "2026-11-25 04:00"}}, "slipway:baking.since", "a time with its zone"),
        ({"baking": BAKING | {"controls": {"hello": "hello:v1.2.2"}}}, "controls.hello", "by a tag alone"),
        ({"baking": BAKING | {"controls": {"helo": CONTROL}}}, "controls.helo", "did you mean 'hello'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(values: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        prod(**values)
    assert where in str(raised.value)
    assert said in str(raised.value)


def test_a_control_that_was_put_on_hold_is_refused_with_what_takes_it_away() -> None:
    hold = {"digest": OTHER_DIGEST, "reason": "loses orders", "author": "ann"}
    with pytest.raises(Refused, match=r"loses orders \(ann\).*slipway settle prod --now"):
        prod(baking=BAKING, holds=[hold])
