"""Without a configuration directory the local platform is meant; with one, nothing of it is used."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.unit.delivery.conftest import World


@dataclass
class FakePlatform:
    """Like `local.platform.LocalPlatform`, class and object in one."""

    config_dir: Path
    exists: bool = True
    events: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    signers: dict[str, Path] = field(default_factory=dict)
    withheld: dict[str, Any] = field(default_factory=dict)
    slow: str = ""
    others_are_done: threading.Event = field(default_factory=threading.Event)

    def find(self) -> FakePlatform | None:
        return self if self.exists else None

    def prepare(self) -> FakePlatform:
        self.events.append("prepare")
        self.exists = True
        return self

    def before(self, stack: str) -> None:
        if stack == self.slow:
            assert self.others_are_done.wait(60), "the others wait for it"
        self.events.append(f"before {stack}")
        if stack in self.withheld:
            path = self.config_dir / f"Pulumi.{stack}.yaml"
            document = yaml.safe_load(path.read_text())
            document["config"]["slipway:images"] = self.withheld[stack]
            path.write_text(yaml.safe_dump(document))

    def after(self, stack: str) -> None:
        self.events.append(f"after {stack}")
        if {f"after {other}" for other in ("test", "stage", "prod")} - {f"after {self.slow}"} <= {*self.events}:
            self.others_are_done.set()

    def links(self) -> dict[str, str]:
        return {"prod/hello": "http://127.0.0.1:20001"}

    def receiver(self) -> dict[str, str]:
        return {"state": "does not run", "log": "/state/receiver/log"}

    def down(self) -> None:
        self.events.append("down")
        self.exists = False


@dataclass
class FakeClusters:
    """Like the module `local.cluster`."""

    there: bool = True
    ended: list[str] = field(default_factory=list)

    def status(self, name: str) -> Any:
        from local.cluster import Status

        return Status(name, self.there, self.there, "v1.36.3" if self.there else None, self.there, {})

    def find(self, name: str) -> Any:
        return SimpleNamespace(name=name, context=f"slipway-{name}", kubeconfig=Path("/k")) if self.there else None

    def down(self, name: str) -> bool:
        self.ended.append(name)
        return self.there


@pytest.fixture
def platform(world: World) -> FakePlatform:
    platform = FakePlatform(world.directory, env={"PULUMI_CONFIG_PASSPHRASE_FILE": "/where"})
    world.run("up", "shared")
    world.engine.forget()
    del world.environ["SLIPWAY_CONFIG_DIR"]
    world.seams["local_platform"] = lambda: platform
    return platform


@pytest.fixture
def clusters(world: World) -> FakeClusters:
    clusters = FakeClusters()
    world.seams["clusters"] = lambda: clusters
    return clusters


def test_up_prepares_it_wraps_each_update_and_prints_the_links(world: World, platform: FakePlatform) -> None:
    done = world.run("up", "--yes")
    assert done.code == 0, done.said
    assert platform.events[:3] == ["prepare", "before shared", "after shared"]
    assert sorted(platform.events[3:]) == [
        f"{when} {s}" for when in ("after", "before") for s in ("prod", "stage", "test")
    ]
    assert "prod/hello  http://127.0.0.1:20001" in done.out
    assert world.run("status", "--json").json["links"] == [{"name": "prod/hello", "url": "http://127.0.0.1:20001"}]


def test_what_one_stack_takes_long_to_make_keeps_no_other_waiting(world: World, platform: FakePlatform) -> None:
    platform.slow = "test"
    done = world.run("up", "--yes")
    assert done.code == 0, done.said
    assert platform.events[-2:] == ["before test", "after test"]


def test_its_environment_reaches_the_engine(world: World, platform: FakePlatform) -> None:
    world.run("up", "stage")
    assert world.engine.environments[-1]["PULUMI_CONFIG_PASSPHRASE_FILE"] == "/where"


def test_the_pulumi_cli_is_not_its_default(
    world: World, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    world.run("up", "stage")
    assert world.engine.asked("up") == ["stage"]


def test_images_it_writes_as_it_goes_are_used(world: World, platform: FakePlatform) -> None:
    images = yaml.safe_load((world.directory / "Pulumi.stage.yaml").read_text())["config"]["slipway:images"]
    platform.withheld["stage"] = images
    world.edit("stage", images=None)
    assert world.run("up", "stage").code == 0


def test_making_it_asks_nobody_but_changing_its_prod_does(world: World, platform: FakePlatform) -> None:
    platform.exists = False
    assert world.run("up").code == 0
    world.run("up").explains(4, "prod", "--yes")


@pytest.mark.parametrize("exists", [True, False])
def test_what_stands_on_a_stack_that_was_never_brought_up_is_refused_before_anything_is_made(
    world: World, platform: FakePlatform, exists: bool
) -> None:
    platform.exists = exists
    world.marker("shared").unlink()
    done = world.run("up", "stage", "prod", "--yes")
    done.explains(4, "stage, prod cannot stand without shared", "`slipway up shared stage prod`")
    assert (platform.events, world.engine.calls) == ([], [])


def test_an_unknown_stack_is_refused_before_the_platform_is_made(world: World, platform: FakePlatform) -> None:
    platform.exists = False
    world.run("up", "staging").explains(3, "'staging'", "stage")
    assert platform.events == []


def test_it_is_made_for_the_stacks_that_are_named_with_what_they_stand_on(world: World, platform: FakePlatform) -> None:
    platform.exists = False
    assert world.run("up", "shared", "prod", "--yes").code == 0
    assert world.engine.asked("up") == ["shared", "prod"]


def test_a_failed_update_publishes_nothing(world: World, platform: FakePlatform) -> None:
    world.engine.failures["up", "stage"] = (1, "it broke.")
    world.run("up", "stage")
    assert "after stage" not in platform.events


@pytest.mark.parametrize(
    "command", [["preview"], ["drift"], ["history", "prod"], ["down", "--yes"], ["engine", "adopt", "prod"]]
)
def test_commands_that_need_it_say_how_to_make_it(world: World, platform: FakePlatform, command: list[str]) -> None:
    platform.exists = False
    world.run(*command).explains(3, "no local platform yet", "slipway up", "--config-dir")
    assert platform.events == []


@pytest.mark.usefixtures("platform")
def test_status_says_how_the_receiver_of_alerts_is(world: World) -> None:
    assert "the receiver of alerts does not run, log /state/receiver/log" in world.run("status").out
    assert world.run("status", "--json").json["receiver"]["state"] == "does not run"


def test_status_without_it_is_no_error(world: World, platform: FakePlatform) -> None:
    platform.exists = False
    assert world.run("status", "--json").json == {
        "config_dir": None, "engine": None, "cluster": None, "links": [], "receiver": None,
        "stacks": [], "unwatched": {},
    }  # fmt: skip
    assert "slipway up" in world.run("status").out


def test_down_with_its_data_ends_all_of_it(world: World, platform: FakePlatform) -> None:
    world.run("down", "--delete-data").explains(4, "--yes")
    assert world.run("down", "--delete-data", "--yes").code == 0
    assert platform.events == ["down"]
    assert world.engine.calls == []


def test_down_ends_a_cluster_whose_making_was_cut_short(
    world: World, platform: FakePlatform, clusters: FakeClusters
) -> None:
    platform.exists = False
    assert world.run("down", "--delete-data", "--yes").code == 0
    assert clusters.ended == ["local"]


def test_with_a_configuration_directory_it_is_never_asked_for(world: World) -> None:
    def never() -> None:
        raise AssertionError("the local platform was asked for")

    world.seams |= {"local_platform": never, "clusters": never}
    for command in (["up", "--yes"], ["status"], ["down", "--yes", "--delete-data"]):
        assert world.run(*command).code == 0


class TestCluster:
    @pytest.mark.usefixtures("clusters")
    def test_kubeconfig_prints_the_path_alone(self, world: World) -> None:
        assert world.run("cluster", "kubeconfig").out == "/k\n"

    def test_kubeconfig_of_a_cluster_that_does_not_run_is_unreachable(
        self, world: World, clusters: FakeClusters
    ) -> None:
        clusters.there = False
        world.run("cluster", "kubeconfig").explains(5, "slipway cluster up")

    @pytest.mark.usefixtures("clusters")
    def test_its_name_may_be_given(self, world: World) -> None:
        world.environ["SLIPWAY_CLUSTER"] = "second"
        assert world.run("cluster", "status", "--json").json["name"] == "second"

    def test_status_of_none_ends_with_0(self, world: World, clusters: FakeClusters) -> None:
        clusters.there = False
        done = world.run("cluster", "status")
        assert done.code == 0
        assert "slipway cluster up" in done.out

    @pytest.mark.usefixtures("clusters")
    def test_up_prepares_the_platform(self, world: World, platform: FakePlatform) -> None:
        done = world.run("cluster", "up", "--json")
        assert done.json == {"name": "local", "context": "slipway-local", "kubeconfig": "/k"}
        assert platform.events == ["prepare"]

    def test_down_asks_since_data_goes_too(self, world: World, clusters: FakeClusters) -> None:
        world.run("cluster", "down").explains(4, "all its data", "--yes")
        assert clusters.ended == []
        assert world.run("cluster", "down", "--yes").code == 0
        assert clusters.ended == ["local"]


def test_github_is_no_part_of_the_local_platform_and_nothing_is_made_for_it(world: World) -> None:
    absent = FakePlatform(world.directory, exists=False)
    del world.environ["SLIPWAY_CONFIG_DIR"]
    world.seams["local_platform"] = lambda: absent
    world.run("up", "github").explains(4, "the stack github is a repository on GitHub", "docs/github.md")
    assert absent.events == []
