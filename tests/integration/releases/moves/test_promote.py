"""`slipway promote`: what goes in, through which gates, and what is left when something fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Locked, MachineUnfit, SlipwayError, UpdateFailed
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.gates import configuration_hash
from delivery.releases.journal import Journal
from delivery.releases.proof import Kind, Piece
from delivery.releases.signing import KeySigner
from delivery.releases.store import ReleaseStore
from delivery.releases.subject import Subject
from delivery.releases.verification import Verifier
from delivery.workspace import Workspace
from tests.integration.releases.moves.conftest import Team
from tests.integration.releases.moves.team import away, away_for, digests

A, B = "sha-" + "a" * 12, "sha-" + "b" * 12
MIGRATION: dict[str, Any] = {"command": ["migrate", "up"], "deadlineSeconds": 60}


class TestWhatGoesIn:
    def test_a_release_by_name(self, team: Team) -> None:
        done = team.run("promote", B, "prod", "--yes", "--reason", "the new price list")
        assert done.code == 0, done.said
        assert team.has("prod", "B")
        assert team.images("prod") == {"hello": f"hello:{B}@{team.releases['B'].services['hello']}"}
        assert team.path("prod").read_text().startswith("# prod, by hand\n")
        (record,) = team.records("prod")
        assert (record.result, record.by, record.reason) == ("succeeded", "maria", "the new price list")
        assert (record.release, record.origin) == (team.releases["B"].digest, team.releases["A"].digest)
        assert (record.signed_by, record.override) == ("verifier", None)
        commit = team.repository.log(team.path("prod"))[0]
        assert commit.title == f"Promote {B} to prod"
        assert "the new price list" in commit.message
        assert f"Release: {team.releases['B'].digest}" in commit.message

    def test_what_a_stack_names(self, team: Team) -> None:
        assert team.run("promote", B, "test").code == 0
        assert team.run("promote", "test", "prod", "--yes").code == 0
        assert team.has("prod", "B")

    def test_a_bare_tag_in_test_goes_on_as_the_digest_that_it_means(self, team: Team) -> None:
        manifest = team.registry.manifest("hello", team.releases["B"].services["hello"])
        team.registry.put_manifest("hello", "dev", manifest, "application/vnd.oci.image.manifest.v1+json")
        team.edit("test", images={"hello": "hello:dev"})
        assert team.run("promote", "test", "prod", "--yes").code == 0
        assert team.images("prod") == {"hello": f"hello:dev@{team.releases['B'].services['hello']}"}

    def test_the_same_again_changes_nothing(self, team: Team) -> None:
        done = team.run("promote", "sha-" + "a" * 12, "prod", "--yes")
        assert done.code == 0
        assert "already" in done.out
        assert team.engine.asked("up") == []
        assert team.records("prod") == []

    def test_another_commit_of_the_same_images_is_another_release(self, team: Team) -> None:
        again = Release("d" * 40, team.releases["A"].services)
        team.store.push(again, ["sha-" + "d" * 12])
        done = team.run("promote", "sha-" + "d" * 12, "prod", "--yes")
        assert done.code == 0, done.said
        assert team.records("prod")[0].release == again.digest
        verified = [piece for piece in team.store.proof(REPOSITORY, again.digest) if piece.kind is Kind.VERIFICATION]
        assert len(verified) == 1

    def test_what_is_no_release(self, team: Team) -> None:
        team.run("promote", "v9.9.9", "prod").explains(3, "'v9.9.9'", B)

    def test_images_that_are_no_release(self, team: Team) -> None:
        team.edit("test", images={"hello": f"hello:x@{team.releases['A'].manifest and 'sha256:' + '0' * 64}"})
        team.run("promote", "test", "prod", "--yes").explains(3, "what test names is no release", "release build")

    def test_a_stack_that_is_no_environment(self, team: Team) -> None:
        team.run("promote", B, "shared").explains(3, "'shared' is no environment", "stage")

    def test_a_directory_that_is_no_repository(self, team: Team) -> None:
        (team.directory / ".git").rename(team.directory / ".not-git")
        team.run("promote", B, "prod", "--yes").explains(3, "no git repository", "git init")

    def test_a_release_that_lacks_a_service(self, team: Team) -> None:
        team.edit("prod", services={"hello": {"port": 8080}, "mail": {"port": 25}})
        team.run("promote", B, "prod", "--yes").explains(3, "no image of mail", "--service hello")

    def test_a_release_with_a_service_that_is_not_declared(self, team: Team) -> None:
        team.edit("prod", services={"mail": {"port": 25}}, images={})
        team.run("promote", B, "prod", "--yes").explains(3, "mail")


class TestWhatIsSaid:
    def test_json_is_all_there_is_on_standard_output(self, team: Team) -> None:
        team.passes("B", "test", "regression")
        found = team.run("promote", B, "stage", "--json").json
        assert (found["result"], found["changed"], found["name"]) == ("succeeded", True, B)
        assert found["from"] == {"name": A, "release": team.releases["A"].digest}
        assert [gate["open"] for gate in found["gates"]] == [True]
        assert list(found["seconds"]) == ["gates", "write", "update", "verify", "record"]

    def test_json_tells_of_what_failed(self, team: Team) -> None:
        team.smoke = lambda *_: False
        done = team.run("promote", B, "prod", "--yes", "--json")
        assert done.code == 1
        assert done.json["result"] == "failed"
        assert "GET / answers 500" in done.json["error"]

    def test_an_interrupted_one_says_what_ends_it(self, team: Team) -> None:
        def interrupted(*_: object, **__: object) -> Any:
            raise KeyboardInterrupt

        team.seams["verify"] = interrupted
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 130
        assert "`slipway rollback prod --recover`" in done.err
        del team.seams["verify"]
        assert team.run("rollback", "prod", "--recover").code == 0
        assert team.has("prod", "B")


class TestGates:
    def test_each_is_shown_and_a_closed_one_refuses(self, team: Team) -> None:
        done = team.run("promote", B, "stage")
        assert done.code == 4
        assert "CLOSED  verified (regression in test)" in done.out
        assert "slipway: stage does not take" in done.err
        assert team.has("stage", "A")
        assert team.titles("stage") == ["Begin"]

    def test_proof_opens_it(self, team: Team) -> None:
        team.passes("B", "test", "regression")
        done = team.run("promote", B, "stage")
        assert done.code == 0, done.said
        assert "open   verified (regression in test)" in done.out
        assert team.has("stage", "B")

    def test_an_override_is_recorded_and_shown(self, team: Team) -> None:
        done = team.run("promote", B, "stage", "--override", "--reason", "orders are lost")
        assert done.code == 0, done.said
        assert "OVERRIDDEN by maria: verified (regression in test): orders are lost" in done.out
        (record,) = team.records("stage")
        assert record.override == "verified (regression in test): orders are lost"
        assert "Override: verified" in team.repository.log(team.path("stage"))[0].message
        assert "OVERRIDDEN" in team.run("history", "stage").out

    def test_an_override_of_gates_that_are_open_is_none(self, team: Team) -> None:
        assert team.run("promote", B, "prod", "--override", "--reason", "to be sure", "--yes").code == 0
        assert team.records("prod")[0].override is None

    def test_an_override_needs_a_reason(self, team: Team) -> None:
        team.run("promote", B, "stage", "--override").explains(3, "--reason")

    def test_a_freeze_stops_it_whatever_is_overridden(self, team: Team) -> None:
        team.edit("prod", freeze={"until": "2999-01-01T00:00:00Z", "reason": "the sale", "author": "maria"})
        done = team.run("promote", B, "prod", "--yes", "--override", "--reason", "now")
        done.explains(4, "frozen", "the sale", "maria")
        assert team.has("prod", "A")

    def test_a_held_image_is_refused_whatever_is_overridden(self, team: Team) -> None:
        held = {"digest": team.releases["B"].services["hello"], "reason": "loses orders", "author": "maria"}
        team.edit("prod", holds=[held])
        done = team.run("promote", B, "prod", "--yes", "--override", "--reason", "now")
        done.explains(4, "on hold", "loses orders")

    def test_a_dry_run_shows_gates_and_diff_and_changes_nothing(self, team: Team) -> None:
        team.passes("B", "test", "regression")
        before = team.path("stage").read_bytes()
        done = team.run("promote", B, "stage", "--dry-run")
        assert done.code == 0
        assert "open   verified" in done.out
        assert f"+    hello: hello:{B}@" in done.out
        assert "-    hello: hello:sha-aaaaaaaaaaaa@" in done.out
        assert team.path("stage").read_bytes() == before
        assert team.engine.calls == []
        assert team.records("stage") == []

    def test_a_dry_run_through_a_closed_gate_ends_as_the_promotion_would(self, team: Team) -> None:
        done = team.run("promote", B, "stage", "--dry-run", "--json")
        assert done.code == 4
        assert [gate["open"] for gate in done.json["gates"]] == [False]
        assert done.json["diff"]

    def test_prod_is_not_changed_without_a_yes(self, team: Team) -> None:
        team.run("promote", B, "prod").explains(4, "promote sha-bbbbbbbbbbbb to prod on cluster ours", "--yes")
        assert team.has("prod", "A")

    def test_a_key_that_may_not_verify_is_refused_before_anything(self, team: Team) -> None:
        team.environ["SLIPWAY_SIGNING_KEY"] = str(team.environ["SLIPWAY_SIGNING_KEY"]).replace("verifier", "alice")
        done = team.run("promote", B, "prod", "--yes")
        assert done.code in (3, 4), done.said
        assert team.has("prod", "A")


class TestAPart:
    @pytest.fixture
    def two(self, team: Team) -> Team:
        """Environments with two services; B has another of each."""
        mail = {letter: team.releases[letter].services["hello"] for letter in "AB"}
        for letter, digest in mail.items():
            manifest = team.registry.manifest("hello", digest)
            team.registry.put_blob("mail", b"{}")
            for layer in json.loads(manifest)["layers"]:
                team.registry.put_blob("mail", team.registry.blob("hello", layer["digest"]))
            team.registry.put_manifest("mail", digest, manifest, "application/vnd.oci.image.manifest.v1+json")
            whole = Release(letter.lower() * 40, {"hello": digest, "mail": digest})
            team.store.push(whole, [f"v1.{ord(letter)}.0"])
            team.releases[letter] = whole
        images = team.releases["A"].images("v1.65.0")
        for stack in ("test", "stage", "prod"):
            team.edit(stack, services={"hello": {"port": 8080}, "mail": {"port": 8081}}, images=images)
        return team

    def test_one_service_is_a_release_of_its_own(self, two: Team) -> None:
        done = two.run("promote", "v1.66.0", "prod", "--service", "mail", "--yes")
        assert done.code == 0, done.said
        assert digests(two.images("prod")) == {
            "hello": two.releases["A"].services["hello"],
            "mail": two.releases["B"].services["mail"],
        }
        part = two.store.of_images(two.images("prod"))
        assert part is not None
        assert part.digest not in (two.releases["A"].digest, two.releases["B"].digest)
        assert two.store.tag_of(part).startswith("part-")
        assert two.engine.runs("prod") == two.images("prod")

    def test_its_own_gates_are_judged_not_the_whole_ones(self, two: Team) -> None:
        two.passes("B", "test", "regression")
        assert two.run("promote", "v1.66.0", "stage", "--service", "mail").code == 4
        assert two.run("promote", "v1.66.0", "stage").code == 0

    def test_a_dry_run_stores_no_release(self, two: Team) -> None:
        before = two.store.tags()
        assert two.run("promote", "v1.66.0", "prod", "--service", "mail", "--dry-run").code == 0
        assert two.store.tags() == before

    def test_an_unknown_service_is_refused(self, two: Team) -> None:
        two.run("promote", "v1.66.0", "prod", "--service", "mial").explains(3, "'mial'", "mail")


class TestFailures:
    """Nothing but the whole of one release: file, git, cluster and records agree, or the error says what does not."""

    def test_smoke_fails(self, team: Team) -> None:
        team.smoke = lambda _, images: digests(images) != dict(team.releases["B"].services)
        done = team.run("promote", B, "prod", "--yes")
        done_line = done.err.strip().splitlines()[-1]
        assert done.code == 1
        for words in ("GET / answers 500", "prod is back on sha-aaaaaaaaaaaa", "restored in commit", "recorded"):
            assert words in done_line
        assert team.has("prod", "A")
        assert team.results("prod") == [("B", "restored")]
        assert team.titles("prod") == ["Restore sha-aaaaaaaaaaaa in prod", f"Promote {B} to prod", "Begin"]
        assert team.engine.asked("up") == ["prod", "prod"]

    def test_what_runs_is_changed_while_it_is_verified(self, team: Team) -> None:
        def refuses(*_: object, **__: object) -> Piece:
            raise SlipwayError("hello was rolled out while smoke ran")

        team.seams["verify"] = refuses
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "hello was rolled out while smoke ran" in done.err
        assert team.has("prod", "A")
        assert team.results("prod") == [("B", "restored")]

    def test_the_verification_is_not_done_in_time(self, team: Team, tmp_path: Path) -> None:
        suite = tmp_path / "suites" / "smoke"
        suite.mkdir(parents=True)
        (suite / "test_waits.py").write_text("import time\n\ndef test_waits():\n    time.sleep(3600)\n")

        def verify(
            workspace: Workspace, stack: str, suite: str, signer: KeySigner, *, store: ReleaseStore, **_: object
        ) -> Piece:
            """A suite as it runs in earnest, but for a deadline that a test can wait for."""
            shape, release = configuration_hash(workspace.environment(stack)), store.of_images(team.engine.runs(stack))
            assert release is not None
            subject = Subject(stack, release, shape, {}, lambda: ({}, shape))
            return Verifier(subject, store, signer, {}, tmp_path / "suites", print).run(suite, deadline_s=3)

        team.seams["verify"] = verify
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "it was not done within 3 s" in done.err
        assert "prod is back on sha-aaaaaaaaaaaa" in done.err
        assert team.has("prod", "A")
        assert team.results("prod") == [("B", "restored")]
        assert team.titles("prod") == ["Restore sha-aaaaaaaaaaaa in prod", f"Promote {B} to prod", "Begin"]

    def test_the_update_fails(self, team: Team) -> None:
        _fail_for(team, "B", UpdateFailed("Deployment prod/hello: no progress in 60 s"))
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "no progress in 60 s" in done.err
        assert team.has("prod", "A")
        assert team.results("prod") == [("B", "restored")]

    def test_a_mistake_of_ours_restores_too(self, team: Team) -> None:
        def broken(*_: object, **__: object) -> Any:
            raise ZeroDivisionError

        team.seams["verify"] = broken
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "Traceback" not in done.said
        assert team.has("prod", "A")

    def test_the_registry_is_away(self, team: Team) -> None:
        team.edit("prod", registry={"push": "127.0.0.1:1", "pull": "registry.example.com"})
        team.run("promote", B, "prod", "--yes").explains(5, "127.0.0.1:1")
        assert team.titles("prod") == ["Edit prod", "Begin"]

    def test_the_api_server_is_away_before_anything_is_changed(self, team: Team) -> None:
        team.seams["connect"] = away
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 5
        assert "does not answer" in done.err
        assert team.has("prod", "A")
        assert team.titles("prod") == ["Begin"]

    def test_the_api_server_goes_away_during_the_update(self, team: Team) -> None:
        team.engine.on_up = away
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        for words in (
            "he file names sha-aaaaaaaaaaaa",
            "git's history names sha-aaaaaaaaaaaa",
            "the cluster runs sha-aaaaaaaaaaaa or sha-bbbbbbbbbbbb",
            "`slipway rollback prod --recover`",
        ):
            assert words in done.err
        assert team.images("prod") == team.config("prod", at="HEAD")["slipway:images"]

        team.engine.on_up = lambda *_: None
        assert team.run("rollback", "prod", "--recover").code == 0
        assert team.has("prod", "A")
        assert team.results("prod") == [("B", "restored")]

    def test_the_api_server_comes_back_in_time_to_restore(self, team: Team) -> None:
        team.seams["patience_s"] = 30
        team.engine.on_up = away_for(2)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "prod is back on sha-aaaaaaaaaaaa" in done.err
        assert team.has("prod", "A")
        assert team.results("prod") == [("B", "restored")]

    def test_what_was_not_restored_is_restored_by_the_next_promotion(self, team: Team) -> None:
        team.engine.on_up = away
        team.run("promote", B, "prod", "--yes")
        team.engine.on_up = lambda *_: None
        assert team.run("promote", "sha-" + "c" * 12, "prod", "--yes").code == 0
        assert team.has("prod", "C")
        assert team.results("prod") == [("B", "restored"), ("C", "succeeded")]

    def test_somebody_else_is_updating_the_stack_and_ends(self, team: Team) -> None:
        busy = [True]

        def once(_stack: str, _images: object) -> None:
            if busy:
                busy.pop()
                raise Locked("somebody else is updating the stack")

        team.engine.on_up = once
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "somebody else" in done.err
        assert team.has("prod", "A")

    def test_two_promotions_of_a_stack(self, team: Team) -> None:
        with Journal(team.repository, "prod").lock("promoting v1", "jonas"):
            team.run("promote", B, "prod", "--yes").explains(6, "jonas", "promoting v1", "prod")
        assert team.has("prod", "A")
        assert team.run("promote", B, "prod", "--yes").code == 0

    def test_changes_that_nobody_committed_are_not_mixed_with_ours(self, team: Team) -> None:
        text = team.path("prod").read_text() + "# to do\n"
        team.path("prod").write_text(text)
        team.run("promote", B, "prod", "--yes").explains(4, "not committed", "git commit")
        assert team.path("prod").read_text() == text

    def test_the_file_is_edited_between_the_decision_and_the_write(
        self, team: Team, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = Journal.write

        def edited(journal: Journal, entry: Any) -> None:
            write(journal, entry)
            if entry.step == "write":
                team.path("prod").write_text(team.path("prod").read_text() + "# theirs\n")

        monkeypatch.setattr(Journal, "write", edited)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 3
        assert "changed meanwhile" in done.err
        assert team.path("prod").read_text().endswith("# theirs\n")
        assert team.journal("prod") is None
        assert team.engine.asked("up") == []

    @pytest.mark.parametrize("step", ["commit", "update"])
    def test_the_file_is_edited_while_it_is_ours(self, team: Team, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        write = Journal.write

        def edited(journal: Journal, entry: Any) -> None:
            write(journal, entry)
            if entry.step == step:
                team.path("prod").write_text(team.path("prod").read_text() + "# theirs\n")

        monkeypatch.setattr(Journal, "write", edited)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code in (1, 4), done.said
        assert team.has("prod", "A")
        (kept,) = (team.directory / ".git" / "slipway").glob("prod.edited-*.yaml")
        assert kept.read_text().endswith("# theirs\n")
        assert str(kept) in done.said

    def test_somebody_commits_other_images_meanwhile(self, team: Team) -> None:
        def meddle(_stack: str, _images: object) -> None:
            team.edit("prod", images=team.releases["C"].images("v3"))
            raise UpdateFailed("Deployment prod/hello: no progress")

        team.engine.on_up = meddle
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        for words in ("somebody changed them", "Edit prod", "he file names other images", "no progress"):
            assert words in done.err
        assert digests(team.images("prod")) == dict(team.releases["C"].services)

    def test_a_hook_that_refuses_the_commit(self, team: Team) -> None:
        hook = team.directory / ".git" / "hooks" / "pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho only on weekdays\nexit 1\n")
        hook.chmod(0o755)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "only on weekdays" in done.err
        assert team.has("prod", "A")
        assert team.repository.is_clean(team.path("prod"))
        assert team.engine.asked("up") == []

    def test_the_disk_is_full_when_it_fails(self, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        write = Journal.write

        def full(journal: Journal, entry: Any) -> None:
            if entry.step == "restore":
                raise MachineUnfit("the journal cannot be written (No space left on device)")
            write(journal, entry)

        monkeypatch.setattr(Journal, "write", full)
        team.smoke = lambda *_: False
        assert team.run("promote", B, "prod", "--yes").code == 1
        assert team.has("prod", "A")

    def test_the_record_cannot_be_written(self, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("delivery.releases.move.write_record", away)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "only the record of it (succeeded) could not be written" in done.err
        monkeypatch.undo()
        monkeypatch.setattr("shutil.which", lambda _: None)
        assert team.run("rollback", "prod", "--recover").code == 0
        assert team.has("prod", "B")
        assert team.results("prod") == [("B", "succeeded")]


class TestPreDeploy:
    @pytest.fixture
    def migrating(self, team: Team) -> Team:
        team.edit("prod", services={"hello": {"port": 8080, "env": {"DB": "orders"}, "preDeploy": MIGRATION}})
        return team

    def test_it_runs_first_with_the_new_image(self, migrating: Team) -> None:
        seen = []
        migrating.jobs.on_run = lambda: seen.append(digests(migrating.images("prod")))
        assert migrating.run("promote", B, "prod", "--yes").code == 0
        (job,) = migrating.jobs.created
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"registry.example.com/hello@{migrating.releases['B'].services['hello']}"
        assert container["command"] == ["migrate", "up"]
        assert {"name": "DB", "value": "orders"} in container["env"]
        assert job["metadata"]["namespace"] == "prod"
        assert seen == [dict(migrating.releases["A"].services)]
        assert migrating.has("prod", "B")

    def test_it_fails(self, migrating: Team) -> None:
        migrating.jobs.fails = True
        done = migrating.run("promote", B, "prod", "--yes")
        assert done.code == 1
        assert "column exists already" in done.err
        assert migrating.has("prod", "A")
        assert migrating.titles("prod") == ["Edit prod", "Begin"]
        assert migrating.engine.asked("up") == []
        assert migrating.results("prod") == [("B", "failed")]

    def test_one_that_was_interrupted_is_ended_by_what_comes_next(self, migrating: Team) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        migrating.jobs.on_run = interrupted
        assert migrating.run("promote", B, "prod", "--yes").code == 130
        assert migrating.run("rollback", "prod", "--recover").code == 0
        assert migrating.jobs.deleted == [migrating.jobs.created[0]["metadata"]["name"]]
        assert migrating.has("prod", "A")
        assert migrating.results("prod") == [("B", "failed")]

    def test_it_does_not_run_for_an_image_that_stays(self, migrating: Team) -> None:
        assert migrating.run("promote", B, "prod", "--yes").code == 0
        migrating.store.push(migrating.releases["B"], ["v2.0.0"])
        migrating.run("promote", "v2.0.0", "prod", "--yes")
        assert len(migrating.jobs.created) == 1

    def test_one_that_cannot_be_undone_is_not_restored_by_itself(self, migrating: Team) -> None:
        shape = {"port": 8080, "preDeploy": MIGRATION | {"reversible": False}}
        migrating.edit("prod", services={"hello": shape})
        migrating.smoke = lambda *_: False
        done = migrating.run("promote", B, "prod", "--yes")
        assert done.code == 1
        for words in ("cannot be undone", "GET / answers 500", "not restored", "--override"):
            assert words in done.err
        assert migrating.has("prod", "B")
        assert migrating.results("prod") == [("B", "failed")]

    def test_one_that_can_be_undone_is_restored(self, migrating: Team) -> None:
        migrating.smoke = lambda *_: False
        assert migrating.run("promote", B, "prod", "--yes").code == 1
        assert migrating.has("prod", "A")


def _fail_for(team: Team, release: str, error: SlipwayError) -> None:
    """The update to a release fails, and to others does not."""

    def on_up(_stack: str, images: dict[str, str]) -> None:
        if digests(images) == dict(team.releases[release].services):
            raise error

    team.engine.on_up = on_up
