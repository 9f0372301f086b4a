"""`slipway serve`: a release that alerts is rolled back, once, and nothing else happens whatever is sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Locked, UpdateFailed
from adapters.git import Repository
from delivery.releases.artifact import REPOSITORY
from delivery.releases.journal import Journal
from delivery.releases.proof import Kind
from delivery.serving import answering, worker
from delivery.serving.app import LARGEST_BODY
from delivery.serving.inbox import Inbox
from tests.integration.releases.moves.receiving import TOKEN, Alertmanager, alert, eventually, receiving
from tests.integration.releases.moves.team import Team, away, die, git_init

A, B, C = ("sha-" + letter * 12 for letter in "abc")


def digits(team: Team, letter: str) -> str:
    """What a release calls itself in metrics."""
    return team.releases[letter].services["hello"].removeprefix("sha256:")[:12]


@pytest.fixture
def baking(team: Team) -> Team:
    """Prod began with A, has B, and B bakes beside a control of A."""
    team.store.attach(
        REPOSITORY, team.releases["A"].digest, Kind.BOOTSTRAP, {"note": "a fresh platform"}, team.signers["ci"]
    )
    assert team.run("promote", B, "prod", "--yes").code == 0
    bake(team)
    return team


def bake(team: Team, letter: str = "A", **different: Any) -> None:
    now = datetime.now(UTC)
    window = {
        "since": (now - timedelta(minutes=1)).isoformat(),
        "until": (now + timedelta(minutes=29)).isoformat(),
        "controls": team.releases[letter].images("sha-" + letter.lower() * 12),
    }
    team.edit("prod", automation=different.pop("automation", "on"), baking=window | different)


@pytest.fixture
def told(baking: Team, tmp_path: Path) -> Any:
    with receiving(baking, tmp_path / "queue") as alertmanager:
        yield alertmanager


def test_production_goes_back_and_history_says_why_and_how_long_it_took(baking: Team, told: Alertmanager) -> None:
    since = datetime.now(UTC).isoformat()
    assert told.tell(alert(digits(baking, "B"), since=since)) == 202
    assert told.outcomes() == [("rolled_back", f"prod is back on {A}, verified")]
    assert baking.has("prod", "A")

    (hold,) = baking.config("prod")["slipway:holds"]
    assert hold["digest"] == baking.releases["B"].services["hello"]
    assert (hold["alert"], hold["author"]) == ("ReleaseCrashing", "slipway serve")
    baking.run("promote", B, "prod", "--yes").explains(4, "on hold", "ReleaseCrashing")
    (latest, *_) = baking.run("history", "prod", "--json").json["releases"]
    assert (latest["kind"], latest["result"], latest["cause"]) == ("rollback", "succeeded", "alert:ReleaseCrashing")
    assert (latest["signed_by"], latest["fault"]) == ("verifier", None)
    assert latest["alert"]["since"] < latest["alert"]["received"] < latest["ended"]
    assert {"plan", "write", "update", "verify"} <= latest["steps"].keys()


def test_it_is_told_as_metrics(baking: Team, told: Alertmanager) -> None:
    assert told.metric('slipway_rollbacks_total{environment="prod",result="rolled_back"}') == 0
    told.tell(alert(digits(baking, "B")))
    eventually(lambda: told.metric('slipway_rollbacks_total{environment="prod",result="rolled_back"}') == 1)
    assert told.metric('slipway_rollback_restore_seconds_count{environment="prod"}') == 1
    assert told.metric('slipway_rollback_detection_seconds_count{environment="prod"}') == 1
    eventually(lambda: told.metric('slipway_deployments_total{environment="prod",result="rolled_back"}') == 1)
    assert told.metric('slipway_time_to_restore_seconds_count{environment="prod"}') == 1
    running = f'environment="prod",release="{digits(baking, "A")}",service="hello",version="{A}"'
    info = [line for line in told.get("/metrics").text.splitlines() if line.startswith("slipway_release_info")]
    assert [sorted(running.split(",")) == sorted(line[21:-5].split(",")) for line in info].count(True) == 1


def test_ten_deliveries_at_once_from_two_alertmanagers_are_one_rollback(baking: Team, told: Alertmanager) -> None:
    since = datetime.now(UTC).isoformat()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: told.tell(alert(digits(baking, "B"), since=since)), range(10)))
    assert answers == [202] * 10
    assert [outcome for outcome, _ in told.outcomes()] == ["rolled_back"]
    told.tell(alert(digits(baking, "B"), since=since))
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    told.tell(alert(digits(baking, "B"), since=later, alertname="ReleaseNotReady"))
    assert [outcome for outcome, _ in told.outcomes(2)] == ["ignored", "rolled_back"]
    assert [record.kind for record in baking.records("prod")].count(Kind.ROLLBACK) == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"environment": "stage"},
        {"environment": "shared"},
        {"environment": "elsewhere"},
        {"service": "unknown"},
        {"release": "0" * 12},
        {"since": "2020-01-01T00:00:00Z"},
    ],
    ids=lambda forged: " ".join(forged.values()),
)
def test_what_is_forged_leads_to_nothing(baking: Team, told: Alertmanager, forged: dict[str, str]) -> None:
    before, head = baking.images("prod"), baking.repository.head
    assert told.tell(alert(digits(baking, "B"), **forged) if "release" not in forged else alert(**forged)) == 202
    ((outcome, why),) = told.outcomes()
    assert (outcome, bool(why)) == ("ignored", True)
    assert (baking.images("prod"), baking.repository.head) == (before, head)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], "é"])
def test_who_does_not_know_the_token_is_not_listened_to(baking: Team, told: Alertmanager, token: str) -> None:
    assert told.tell(alert(digits(baking, "B")), token=token) == 401 if token != "é" else True
    assert list(told.queue.glob("*/*")) == []


def test_what_is_no_webhook_or_too_long_is_refused_and_kept_nowhere(told: Alertmanager) -> None:
    assert told.post(content=b"{").status_code == 400
    assert told.post(content=b" " * (LARGEST_BODY + 1)).status_code == 413
    assert told.get("/alerts").status_code == 405
    assert list(told.queue.glob("*/*")) == []
    assert told.metric('slipway_webhooks_refused_total{code="413"}') == 1


def test_a_flood_of_ten_thousand_is_one_rollback_at_most(
    baking: Team, told: Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # it is about what is kept, not about the disk
    now = datetime.now(UTC)
    bodies = [
        [
            alert(digits(baking, "B"), since=(now - timedelta(microseconds=1000 * n)).isoformat())
            for n in range(part, part + 100)
        ]
        for part in range(0, 10_000, 100)
    ]
    answers = {told.tell(*body) for body in bodies}
    assert answers <= {202, 503}
    assert len(list((told.queue / "pending").iterdir())) <= 400
    eventually(lambda: list((told.queue / "pending").glob("*.json")) == [])
    assert [record.kind for record in baking.records("prod")].count(Kind.ROLLBACK) == 1
    assert len(list((told.queue / "finished").iterdir())) <= 1000


def test_observe_records_once_what_would_have_been_done(baking: Team, told: Alertmanager) -> None:
    bake(baking, automation="observe")
    before, head = baking.images("prod"), baking.repository.head
    told.tell(alert(digits(baking, "B")))
    assert told.outcomes() == [("observed", f"prod would have gone back to {A}")]
    assert (baking.images("prod"), baking.repository.head) == (before, head)
    record = baking.records("prod")[-1]
    assert (record.result, record.release, record.cause) == (
        "observed",
        baking.releases["A"].digest,
        "alert:ReleaseCrashing",
    )
    assert baking.run("promote", C, "prod", "--yes").code == 0, "nothing was held"


def test_where_no_release_can_be_gone_back_to_a_person_is_needed(baking: Team, told: Alertmanager) -> None:
    hold = {"digest": baking.releases["A"].services["hello"], "reason": "it leaks", "author": "maria"}
    baking.edit("prod", holds=[hold])
    told.tell(alert(digits(baking, "B")))
    ((outcome, why),) = told.outcomes()
    assert (outcome, "it leaks" in why) == ("paged", True)
    assert baking.has("prod", "B")


def test_where_the_earlier_image_is_gone_from_the_registry_a_person_is_told_exactly_and_nothing_is_tried_again(
    baking: Team, told: Alertmanager
) -> None:
    baking.registry.delete_manifest("hello", baking.releases["A"].services["hello"])
    head = baking.repository.head
    told.tell(alert(digits(baking, "B")))
    ((outcome, why),) = told.outcomes()
    assert outcome == "paged"
    assert f"{A} has images that the registry has no more (hello:{A}@{baking.releases['A'].services['hello']})" in why
    assert (baking.has("prod", "B"), baking.repository.head) == (True, head)
    assert [item["attempts"] for item in Inbox(told.queue).finished()] == [1]


@pytest.mark.parametrize("staged", [False, True])
def test_edits_that_nobody_committed_neither_hold_it_up_nor_run_nor_are_lost(
    baking: Team, told: Alertmanager, staged: bool
) -> None:
    shape = baking.config("prod")["slipway:services"]
    baking.edit("prod", commit=False, services={"hello": {"port": 9090}})
    edited = baking.path("prod").read_bytes()
    if staged:
        baking.repository._run("add", str(baking.path("prod")))
    told.tell(alert(digits(baking, "B")))
    assert [outcome for outcome, _ in told.outcomes()] == ["rolled_back"]
    assert baking.has("prod", "A")
    assert baking.config("prod")["slipway:services"] == shape
    assert baking.repository.is_clean(baking.path("prod"))
    (kept,) = (baking.repository.git_dir / "slipway").glob("prod.edited-*.yaml")
    assert kept.read_bytes() == edited


def test_a_release_that_cannot_be_undone_is_not_left(baking: Team, told: Alertmanager) -> None:
    baking.edit("prod", services={"hello": {"port": 8080, "preDeploy": {"command": ["migrate"], "reversible": False}}})
    assert baking.run("promote", C, "prod", "--yes").code == 0
    bake(baking, "B")
    told.tell(alert(digits(baking, "C")))
    ((outcome, why),) = told.outcomes()
    assert (outcome, "cannot be undone" in why) == ("paged", True)
    assert baking.has("prod", "C")


def test_it_waits_until_no_update_is_running(baking: Team, told: Alertmanager) -> None:
    with Journal(baking.repository, "prod").lock("promoting", "maria"):
        told.tell(alert(digits(baking, "B")))
        eventually(lambda: told.metric("slipway_alerts_received_total") == 1)
        assert baking.has("prod", "B")
    assert [outcome for outcome, _ in told.outcomes()] == ["rolled_back"]


def test_what_another_machine_updates_is_waited_for(
    baking: Team, told: Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_FIRST_PAUSE_S", 0.01)
    tried: list[str] = []

    def busy(stack: str, _: object) -> None:
        tried.append(stack)
        if len(tried) < 3:
            raise Locked("somebody else is updating the stack")

    baking.engine.on_up = busy
    told.tell(alert(digits(baking, "B")))
    assert [outcome for outcome, _ in told.outcomes()] == ["rolled_back"]
    assert (baking.has("prod", "A"), len(tried)) == (True, 3)


def test_an_api_server_that_is_away_for_a_while_is_waited_for(
    baking: Team, told: Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_FIRST_PAUSE_S", 0.01)
    asked: list[object] = []

    def connect(settings: object) -> Any:
        asked.append(settings)
        return baking.jobs(settings) if len(asked) > 3 else away()

    baking.seams["connect"] = connect
    with receiving(baking, told.queue.with_name("another")) as another:
        another.tell(alert(digits(baking, "B")))
        assert [outcome for outcome, _ in another.outcomes()] == ["rolled_back"]
    assert baking.has("prod", "A")


def test_a_rollback_that_goes_on_failing_is_given_up_with_a_word_of_where_it_stands(
    baking: Team, told: Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "ATTEMPTS", 3)
    baking.engine.on_up = lambda *_: refuse()
    told.tell(alert(digits(baking, "B")))
    ((outcome, why),) = told.outcomes()
    assert outcome == "failed"
    assert "the cluster may run either" in why
    assert told.metric('slipway_rollback_unfinished{environment="prod"}') == 1
    assert "was cut short" in baking.run("status").out


def refuse() -> None:
    raise UpdateFailed("the quota is exhausted")


@pytest.mark.parametrize("step", ["write", "commit", "update", "verify", "record"])
def test_killed_at_any_step_it_is_brought_to_its_end_once(
    baking: Team, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = tmp_path / "killed"
    killed_while(lambda: serve_one(baking, queue), step, monkeypatch)
    with receiving(baking, queue) as another:
        assert [outcome for outcome, _ in another.outcomes()] == ["rolled_back"]
    assert baking.has("prod", "A")
    rollbacks = [record for record in baking.records("prod") if record.kind is Kind.ROLLBACK]
    assert [(record.result, record.cause) for record in rollbacks] == [("succeeded", "alert:ReleaseCrashing")]
    assert len([title for title in baking.titles("prod") if title.startswith("Roll prod back")]) == 1
    assert len(baking.config("prod")["slipway:holds"]) == 1


@pytest.mark.parametrize("moment", ["answered", "finished"])
def test_killed_after_the_last_step_it_is_not_done_again(
    baking: Team, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = tmp_path / "killed"
    place = answering.Answerer if moment == "answered" else worker.Worker
    name = "_roll_back" if moment == "answered" else "_finish"
    genuine: Callable[..., Any] = getattr(place, name)

    def then_die(*args: Any) -> None:
        if moment == "answered":
            genuine(*args)
        die()

    killed_while(lambda: serve_one(baking, queue), None, monkeypatch, (place, name, then_die))
    with receiving(baking, queue) as another:
        assert [outcome for outcome, _ in another.outcomes()] == ["rolled_back"]
    assert [record.kind for record in baking.records("prod")].count(Kind.ROLLBACK) == 1


def serve_one(team: Team, queue: Path) -> None:
    with receiving(team, queue) as alertmanager:
        assert alertmanager.tell(alert(digits(team, "B"))) == 202
        alertmanager.outcomes()


def killed_while(
    serve: Callable[[], None],
    step: str | None,
    monkeypatch: pytest.MonkeyPatch,
    *patches: tuple[object, str, object],
) -> None:
    """Serve in a process that dies as soon as the journal says that a rollback is about to do `step`."""
    child = os.fork()
    if child == 0:
        genuine = Journal.write

        def write(self: Journal, entry: Any) -> None:
            genuine(self, entry)
            if entry.step == step:
                die()

        monkeypatch.setattr(Journal, "write", write)
        for place, name, value in patches:
            monkeypatch.setattr(place, name, value)
        try:
            serve()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9, "it came to its end before it was killed"


def test_what_git_does_not_take_is_unreconciled_until_it_does(baking: Team, told: Alertmanager, tmp_path: Path) -> None:
    """The hook of a server that refuses us, as a protected branch does."""
    server = tmp_path / "server"
    server.mkdir()
    git_init(server)
    Repository(server)._run("config", "receive.denyCurrentBranch", "ignore")
    baking.repository._run("remote", "add", "origin", str(server))
    baking.repository._run("push", "--quiet", "--set-upstream", "origin", "main")
    hook = server / ".git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho main is protected >&2\nexit 1\n")
    hook.chmod(0o755)

    told.tell(alert(digits(baking, "B")))
    assert [outcome for outcome, _ in told.outcomes()] == ["rolled_back"]
    eventually(lambda: told.metric('slipway_unreconciled{environment="prod"}') == 1)
    assert "unreconciled" in baking.run("history", "prod").out
    (stack,) = [each for each in baking.run("status", "--json").json["stacks"] if each["name"] == "prod"]
    assert stack["unreconciled"] == [f"{baking.repository.head[:12]} Roll prod back to {A}"]  # type: ignore[index]

    hook.unlink()
    told.tell(alert(digits(baking, "C")))  # there is something to do, so the chores come next
    eventually(lambda: told.metric('slipway_unreconciled{environment="prod"}') == 0)
    assert baking.run("history", "prod", "--json").json["unreconciled"] == []


def test_it_says_how_it_is(told: Alertmanager) -> None:
    assert told.get("/healthz").status_code == 200
    eventually(lambda: told.get("/readyz").status_code == 200)


def test_a_window_that_is_over_is_ended(baking: Team, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    bake(baking, since=(now - timedelta(minutes=31)).isoformat(), until=(now - timedelta(minutes=1)).isoformat())
    with receiving(baking, tmp_path / "queue"):
        eventually(lambda: "slipway:baking" not in baking.config("prod", at="HEAD"))
    assert baking.has("prod", "B")


def test_a_freeze_leaves_a_window_that_is_over_as_it_is(baking: Team, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    bake(baking, since=(now - timedelta(minutes=31)).isoformat(), until=(now - timedelta(minutes=1)).isoformat())
    until = (now + timedelta(days=1)).isoformat()
    baking.edit("prod", freeze={"until": until, "reason": "the year's end", "author": "maria"})
    with receiving(baking, tmp_path / "queue") as alertmanager:
        eventually(lambda: alertmanager.get("/readyz").status_code == 200)
    assert "slipway:baking" in baking.config("prod")


ASKED = ("rollback", "prod", "--yes", "--reason", "dispatched", "--alert", "ReleaseCrashing", "--leaving")


def test_what_was_dispatched_is_done_once_while_the_release_runs(baking: Team) -> None:
    done = baking.run(*ASKED, digits(baking, "B"), "--json")
    assert (done.code, done.json["changed"]) == (0, True), done.said
    assert baking.has("prod", "A")
    assert baking.records("prod")[-1].cause == "alert:ReleaseCrashing"
    again = baking.run(*ASKED, digits(baking, "B"), "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    assert baking.has("prod", "A")


def test_what_was_dispatched_obeys_the_rules_and_a_person_need_not(baking: Team) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    baking.edit("prod", freeze={"until": until, "reason": "the year's end", "author": "maria"})
    baking.run(*ASKED, digits(baking, "B")).explains(4, "the year's end")
    baking.run("rollback", "prod", "--yes", "--reason", "x", "--alert", "x").explains(3, "--leaving")
    assert baking.has("prod", "B")
    assert baking.run("rollback", "prod", "--yes", "--reason", "orders are lost").code == 0
