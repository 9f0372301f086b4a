"""`slipway verify` as a person types it: real suites, registry and hello; the cluster says what the test wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.apiserver import KubernetesError
from adapters.errors import Unreachable
from delivery.releases import verification
from delivery.releases.artifact import REPOSITORY
from delivery.releases.proof import Kind, Piece
from tests.done import Done
from tests.integration.releases.moves.conftest import keys, team  # noqa: F401 - fixtures
from tests.integration.releases.moves.team import Team
from tests.integration.releases.serving import hello
from tests.unit.delivery.conftest import Step

DEAD = "hello=http://127.0.0.1:9"


@dataclass
class Cluster:
    """As much of a cluster as is read for a verification; `hours` is how long it has been running."""

    digest: str
    hours: float = 1
    revision: int = 1
    requests: int = 5000
    restarted: str | None = None
    status: dict[str, Any] = field(default_factory=dict)
    gone: bool = False
    is_away: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, _: object) -> Cluster:
        if self.is_away:
            raise Unreachable("the API server does not answer", where="context ours")
        return self

    def close(self) -> None:
        """Nothing to close."""

    def _ago(self, hours: float) -> str:
        return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def get(self, _version: str, _kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        if self.gone:
            return None
        condition = {
            "type": "Progressing",
            "status": "True",
            "reason": "NewReplicaSetAvailable",
            "lastUpdateTime": self._ago(self.hours),
        }
        status = {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "conditions": [condition]}
        image = f"registry.example.com/{name}@{self.digest}"
        return {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": "4711",
                "generation": 4,
                "annotations": {"deployment.kubernetes.io/revision": str(self.revision)},
            },
            "spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}},
            "status": status | self.status,
        }

    def watch(self, *args: str, name: str, **_: object) -> Iterator[tuple[str, dict[str, Any] | None]]:
        yield "ADDED", self.get(args[0], args[1], name, args[2])

    def list(self, _version: str, _kind: str, _namespace: str, *, labels: str) -> list[dict[str, Any]]:
        assert f"slipway.dev/release={self.digest.removeprefix('sha256:')[:12]}" in labels
        terminated = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": self.restarted}
        states = [{"lastState": {"terminated": terminated} if self.restarted else {}}]
        running = {"metadata": {"name": "hello-1"}, "status": {"phase": "Running", "containerStatuses": states}}
        ending = {"metadata": {"name": "hello-0", "deletionTimestamp": "now"}, "status": {"phase": "Running"}}
        broken = {"metadata": {"name": "hello-2"}, "status": {"phase": "Running"}}
        return [running, ending, broken]

    def ask_pod(self, namespace: str, pod: str, port: int, path: str) -> str:
        self.asked.append(f"{namespace}/{pod}:{port}{path}")
        if pod == "hello-2":
            raise KubernetesError(503, "ServiceUnavailable", "no route to host")
        return f'http_requests_total{{code="200",route="/"}} {self.requests}.0\n'


@dataclass
class World:
    """The team, whose stage runs its release A."""

    team: Team
    cluster: Cluster

    def verify(self, *args: str, stack: str = "stage", key: str | None = "verifier") -> Done:
        self.team.seams |= {"connect": self.cluster, "verify": verification.verify}
        self.team.environ |= {
            "SLIPWAY_SIGNING_KEY": str(self.team.environ["SLIPWAY_SIGNING_KEY"]).rpartition("/")[0] + f"/{key}"
        }
        self.team.environ.pop("SLIPWAY_IDENTITY", None)
        return self.team.run("verify", stack, *args)

    def proof(self) -> list[Piece]:
        return self.team.store.proof(REPOSITORY, self.team.releases["A"].digest)


@pytest.fixture
def world(team: Team) -> World:  # noqa: F811 - the fixture
    return World(team, Cluster(team.releases["A"].services["hello"]))


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with hello(release=world.cluster.digest.removeprefix("sha256:")[:12], environment="stage") as url:
        yield f"hello={url}"


def test_a_pass_ends_with_0_and_a_fail_with_1(world: World, url: str) -> None:
    done = world.verify("smoke", "--url", url)
    assert done.code == 0, done.said
    assert "smoke passed" in done.out

    failed = world.verify("smoke", "--url", DEAD)
    failed.explains(1, "smoke failed in stage", "6 of 6 tests failed")
    assert "ConnectError" in failed.out
    assert "which revokes sha256:" in failed.out
    assert [piece.predicate["result"] for piece in world.proof()] == ["pass", "fail"]


def test_as_json_there_is_one_document(world: World, url: str) -> None:
    facts = world.verify("regression", "--url", url, "--json").json
    release = world.team.releases["A"].digest
    wanted = {"kind": "verification", "release": release, "suite": "regression", "stack": "stage", "result": "pass"}
    assert facts | wanted == facts
    assert facts["signed_by"] == "verifier"
    assert facts["configuration"] == world.team.configuration("stage")
    assert world.team.registry.blob(REPOSITORY, facts["report"]).startswith(b"<?xml")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "there is no SUITE"),
        (["nonsense", "--url", DEAD], "no suite 'nonsense'"),
        (["smoke"], "no service of stage is reached from here"),
        (["smoke", "--url", "other=http://127.0.0.1:9"], "no service 'other' in stage"),
        (["smoke", "--url", "hello"], "write SERVICE=http://"),
        (["smoke", "--wait"], "belong to the suite `soak`"),
        (["smoke", "--result", "pass"], "belong to --manual"),
        (["--manual", "--result", "pass"], "--manual needs --result and --note"),
        (["smoke", "--manual", "--result", "pass", "--note", "x"], "no SUITE"),
        (["soak"], "no gate asks for a soak in stage"),
        (["smoke", "--deadline", "0"], "--deadline"),
    ],
)
def test_bad_input_is_told_and_records_nothing(args: list[str], words: str, world: World) -> None:
    world.verify(*args).explains(3, words)
    assert world.proof() == []


@pytest.mark.parametrize("stack", ["shared", "nowhere"])
def test_only_environments_are_verified(stack: str, world: World) -> None:
    world.verify("smoke", "--url", DEAD, stack=stack).explains(3, stack)


def test_what_runs_and_is_no_release_cannot_be_verified(world: World) -> None:
    digest = "sha256:" + "7" * 64
    world.team.edit("stage", images={"hello": f"hello:v7@{digest}"})
    world.cluster.digest = digest
    world.verify("smoke", "--url", DEAD).explains(3, "what runs in stage is no release", "777777777777")


def test_what_is_not_as_its_file_says_is_not_verified(world: World, url: str) -> None:
    world.cluster.digest = world.team.releases["B"].services["hello"]
    world.verify("smoke", "--url", url).explains(2, "its file names hello:sha-aaaaaaaaaaaa@sha256:", "slipway up stage")
    world.cluster.digest = world.team.releases["A"].services["hello"]
    world.team.engine.steps["stage"] = [Step("update", "Deployment", "hello", ("spec.replicas",))]
    world.verify("smoke", "--url", url).explains(2, "does not run as its file says", "spec.replicas")
    world.team.engine.steps.clear()
    world.cluster.gone = True
    world.verify("smoke", "--url", url).explains(2, "hello does not run in stage")
    assert world.proof() == []


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 3},
        {"replicas": 3},
        {"conditions": [{"type": "Progressing", "reason": "ReplicaSetUpdated", "lastUpdateTime": "now"}]},
        {"conditions": []},
    ],
)
def test_nothing_is_verified_during_a_rollout(status: dict[str, Any], world: World, url: str) -> None:
    world.cluster.status = status
    world.verify("smoke", "--url", url).explains(2, "hello is just being rolled out in stage")


def test_a_key_that_is_not_a_verifiers_is_refused_before_anything_is_run(world: World, url: str) -> None:
    done = world.verify("smoke", "--url", url, key="alice")
    done.explains(4, "alice does not count as verifier")
    assert done.out == ""


def test_a_signer_whom_this_environment_does_not_know_is_told_that_it_does_not_count(world: World, url: str) -> None:
    others = {name: entry for name, entry in world.team.config("stage")["slipway:signers"].items() if name == "alice"}
    world.team.edit("stage", signers=others)
    world.verify("smoke", "--url", url).explains(1, "does not count in stage", "slipway:signers")


def test_a_cluster_that_does_not_answer_is_told_as_such(world: World) -> None:
    world.cluster.is_away = True
    world.verify("smoke", "--url", DEAD).explains(5, "the API server does not answer")


def test_a_persons_word_is_signed_by_their_key(world: World) -> None:
    done = world.verify("--manual", "--result", "pass", "--note", "orders by hand", key="alice")
    assert done.code == 0, done.said
    (piece,) = world.proof()
    assert piece.counts
    assert (piece.signed_by, piece.predicate["suite"], piece.predicate["note"]) == ("alice", "manual", "orders by hand")

    failed = world.verify("--manual", "--result", "fail", "--note", "the total is wrong", key="verifier")
    failed.explains(1, "manual failed in stage: the total is wrong")
    assert world.proof()[-1].predicate["revokes"] == piece.digest


class TestSoak:
    @pytest.fixture
    def world(self, world: World) -> World:
        world.team.edit("prod", gates=[{"soaked": {"stack": "stage", "minutes": 10, "requests": 1000}}])
        return world

    def test_what_gates_ask_for_is_recorded_once_it_was_seen(self, world: World) -> None:
        done = world.verify("soak")
        assert done.code == 0, done.said
        (piece,) = world.proof()
        assert (piece.kind, piece.predicate["result"]) == (Kind.SOAK, "pass")
        assert piece.predicate["requests"] == 5000
        assert piece.predicate["alerts"] == "unwatched"
        assert set(world.cluster.asked) == {"stage/hello-1:8080/metrics", "stage/hello-2:8080/metrics"}

    def test_too_short_a_time_is_not_recorded(self, world: World) -> None:
        world.cluster.hours = 0.1
        world.verify("soak").explains(1, "the soak in stage is not complete", "6.0 of 10 minutes", "--wait")
        assert world.proof() == []

    def test_longer_than_gates_ask_can_be_asked_for(self, world: World) -> None:
        world.verify("soak", "--minutes", "90").explains(1, "60.0 of 90 minutes")
        world.verify("soak", "--requests", "6000").explains(1, "5,000 of 6,000 requests")

    def test_a_restart_since_it_began_fails_it(self, world: World) -> None:
        world.cluster.restarted = world.cluster._ago(2)
        assert world.verify("soak").code == 0
        world.cluster.restarted = world.cluster._ago(0.5)
        world.verify("soak").explains(1, "soak failed in stage", "hello-1 was restarted (OOMKilled, code 137)")
        assert [piece.predicate["result"] for piece in world.proof()] == ["pass", "fail"]

    def test_a_later_change_of_the_configuration_begins_it_anew(self, world: World) -> None:
        ended = datetime.now(UTC) - timedelta(minutes=3)
        world.team.engine.history["stage"] = [
            {
                **world.team.engine._update("stage"),
                "startTime": (ended - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
                "endTime": ended.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
                "resourceChanges": {"update": 1, "same": 9},
            }
        ]
        world.verify("soak").explains(1, "3.0 of 10 minutes, 0 of 1,000 requests")
