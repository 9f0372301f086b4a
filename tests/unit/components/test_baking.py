"""What a stack file says of baking: for how long, what alerts may do, and what serves beside a release meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import BadInput, Refused
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.reading import read_file
from components.settings import EnvironmentSettings

from .conftest import DIGEST, OTHER_DIGEST, Declare, environment
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
        settings = read_file(StackFile.load(REPOSITORY / f"Pulumi.{stack}.yaml"), complete=False)
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
        ({"services": {"hello": {"port": 1}, "hello-control": {"port": 1}}}, "slipway:services", "beside hello"),
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


def baking(**values: Any) -> dict[str, Any]:
    return environment(**values) | {"baking": BAKING}


def test_while_a_release_bakes_one_pod_of_the_one_before_serves_beside_it(declare: Declare) -> None:
    recorded = declare(baking(replicas=3))
    release, control = (
        recorded.one("Deployment", "hello").manifest,
        recorded.one("Deployment", "hello-control").manifest,
    )
    assert (release["spec"]["replicas"], control["spec"]["replicas"]) == (3, 1)
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in (release, control)]
    assert images == [f"registry.slipway.local/hello@{DIGEST}", f"registry.slipway.local/hello@{OTHER_DIGEST}"]


def test_both_take_the_services_requests_and_neither_counts_the_others_pods(declare: Declare) -> None:
    recorded = declare(baking())
    release, control = (recorded.one("Deployment", name).manifest["spec"] for name in ("hello", "hello-control"))
    service = recorded.one("Service").manifest["spec"]["selector"]
    pods = [each["template"]["metadata"]["labels"] for each in (release, control)]
    assert all(service.items() <= labels.items() for labels in pods)
    assert [labels["slipway.dev/release"] for labels in pods] == ["ab" * 6, "cd" * 6]
    for own, other in (release, pods[1]), (control, pods[0]):
        assert not own["selector"]["matchLabels"].items() <= other.items()


def test_a_control_names_the_release_that_it_is_compared_with(declare: Declare) -> None:
    recorded = declare(baking())
    release, control = (
        recorded.one("Deployment", name).manifest["spec"]["template"]["metadata"]["labels"]
        for name in ("hello", "hello-control")
    )
    assert control["slipway.dev/beside"] == release["slipway.dev/release"]
    assert "slipway.dev/beside" not in release


def test_a_control_knows_its_own_version_and_is_shaped_like_the_release(declare: Declare) -> None:
    recorded = declare(baking(config={"a.toml": "x = 1"}, env={"LOG_LEVEL": "debug"}))
    assert recorded.one("ConfigMap", "hello-control-version").manifest["data"] == {"version": "v1.2.2"}
    release, control = (
        recorded.one("Deployment", name).manifest["spec"]["template"]["spec"] for name in ("hello", "hello-control")
    )
    told = {each["name"]: each for each in control["containers"][0]["env"]}
    assert told["SLIPWAY_RELEASE"]["value"] == "cd" * 6
    assert told["SLIPWAY_VERSION"]["valueFrom"]["configMapKeyRef"]["name"] == "hello-control-version"
    for pod in (release, control):
        (container,) = pod["containers"]
        container["env"] = [each for each in container["env"] if not each["name"].startswith("SLIPWAY_")]
        del container["image"]
    assert release == control


def test_neither_a_control_that_does_not_start_nor_one_that_drains_holds_up_an_update(declare: Declare) -> None:
    control = declare(baking()).one("Deployment", "hello-control").manifest
    annotations = {"pulumi.com/skipAwait": "true", "pulumi.com/deletionPropagationPolicy": "background"}
    assert control["metadata"]["annotations"] == annotations


def test_where_nothing_bakes_nothing_serves_beside_the_release(declare: Declare) -> None:
    recorded = declare(environment())
    assert [each.manifest["metadata"]["name"] for each in recorded.of("Deployment")] == ["hello"]
