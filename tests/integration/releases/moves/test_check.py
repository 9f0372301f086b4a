"""What may go in by an edit of stack files: images with proof, judged by those who counted before the edit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from adapters.git import Repository
from delivery.releases.proof import Kind
from tests.integration.releases.moves.team import Team, digests

UNKNOWN = "hello:v9@sha256:" + "9" * 64
BUILT = [{"built": {}}, {"verified": {"stack": "test", "suite": "regression"}}]


@pytest.fixture
def base(team: Team) -> str:
    """The commit that a pull request is made against: prod asks for provenance and a regression test."""
    team.edit("prod", gates=BUILT)
    return team.repository.head or ""


def propose(team: Team, release: str, stack: str = "prod") -> None:
    team.edit(stack, images=team.releases[release].images(f"sha-{release.lower() * 12}"))


def built(team: Team, release: str) -> None:
    digest = team.releases[release].services["hello"]
    commit = {"buildDefinition": {"resolvedDependencies": [{"digest": {"gitCommit": release.lower() * 40}}]}}
    team.store.attach("hello", digest, Kind.PROVENANCE, commit, team.signers["ci"])


def test_a_change_that_names_no_other_image_is_let_in_without_a_question(team: Team, base: str) -> None:
    team.edit("prod", services={"hello": {"port": 8080, "replicas": 3}}, registry={"push": "127.0.0.1:9", "pull": "x"})
    done = team.run("check", base)
    assert (done.code, "No environment comes to run another image" in done.out) == (0, True), done.err


def test_an_image_without_proof_is_refused_and_what_is_missing_is_named(team: Team, base: str) -> None:
    propose(team, "B")
    done = team.run("check", base)
    assert done.code == 4
    assert "prod: built: nobody who may build says where the image of hello comes from" in done.err
    assert "there is no result of test; `slipway verify test regression`" in done.err


def test_a_digest_that_was_never_pushed_is_refused(team: Team, base: str) -> None:
    team.edit("prod", images={"hello": UNKNOWN})
    done = team.run("check", base)
    assert (done.code, f"the registry has no {UNKNOWN}" in done.err) == (4, True), done.err


def test_an_image_with_all_its_proof_is_let_in(team: Team, base: str) -> None:
    built(team, "B")
    team.passes("B", "test", "regression")
    propose(team, "B")
    assert team.run("check", base).code == 0


def test_gates_and_signers_of_the_same_change_do_not_count(team: Team, base: str) -> None:
    signers = team.config("prod")["slipway:signers"]
    built(team, "B")
    passed = {"stack": "test", "suite": "regression", "result": "pass", "configuration": team.configuration("test")}
    team.store.attach("releases", team.releases["B"].digest, Kind.VERIFICATION, passed, team.signers["ci"])
    propose(team, "B")
    team.edit("prod", gates=[], signers=signers | {"ci": signers["ci"] | {"roles": ["builder", "verifier"]}})
    done = team.run("check", base)
    assert (done.code, "ci signed it, who counts as builder, and not as verifier" in done.err) == (4, True), done.err


def test_an_image_on_hold_is_refused_although_its_proof_is_there(team: Team, base: str) -> None:
    held = {"digest": team.releases["B"].services["hello"], "reason": "lost orders", "author": "alice"}
    built(team, "B")
    team.passes("B", "test", "regression")
    propose(team, "B")
    team.edit("prod", holds=[held])
    done = team.run("check", base)
    assert (done.code, "lost orders (alice)" in done.err) == (4, True), done.err


def test_the_revert_of_a_promotion_needs_no_proof_of_today(team: Team, base: str) -> None:
    agreed = ("--override", "--reason", "a test", "--yes")
    for letter in "BC":
        assert team.run("promote", team.name(letter), "prod", *agreed).code == 0
    promoted = team.repository.head or ""
    subprocess.run(["git", "-C", team.directory, *AUTHOR, "revert", "--no-edit", "HEAD"], check=True)
    assert digests(team.images("prod")) == dict(team.releases["B"].services)
    assert team.run("check", promoted).code == 0


def test_commits_of_promotions_and_rollbacks_change_only_image_configuration(team: Team, base: str) -> None:
    for letter in "BC":
        assert team.run("promote", team.name(letter), "test", "--yes").code == 0
    assert team.run("rollback", "test", "--reason", "orders are lost", "--yes").code == 0
    done = team.run("check", base, "--only-images")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("Pulumi.test.yaml", "slipway:gates: []", "Pulumi.test.yaml changes slipway:gates"),
        ("Pulumi.yaml", "main: /tmp", "Pulumi.yaml is no stack file"),
        ("Pulumi.shared.yaml", "slipway:images: {}", "Pulumi.shared.yaml is of no environment"),
        ("Pulumi.new.yaml", "config: {}", "Pulumi.new.yaml is new, gone, or of another kind"),
        ("__main__.py", "import os", "__main__.py is new, gone, or of another kind"),
    ],
)
def test_a_commit_that_changes_anything_else_is_named(team: Team, base: str, file: str, content: str, why: str) -> None:
    path = team.directory / file
    before = path.read_text() if path.exists() else ""
    path.write_text(before.replace("config:\n", f"config:\n  {content}\n") if "config:" in before else content)
    team.repository.commit([path], "Only images, honestly")
    team.edit("test", images={"hello": UNKNOWN})
    done = team.run("check", base, "--only-images")
    assert (done.code, f"(Only images, honestly): {why}" in done.err) == (4, True), done.err


def test_what_was_committed_meanwhile_is_built_upon(team: Team, tmp_path: Path) -> None:
    other = remote(team, tmp_path)
    commit(other, "README.md", "of somebody else")
    team.edit("test", images={"hello": UNKNOWN})
    done = team.run("publish")
    assert (done.code, "main has them: Edit test" in done.out) == (0, True), done.err
    assert [each.title for each in Repository(tmp_path / "origin.git").log()][:2] == ["Edit test", "of somebody else"]
    assert "main has all commits already" in team.run("publish").out


def test_what_others_changed_in_the_same_place_is_not_overwritten(team: Team, tmp_path: Path) -> None:
    other = remote(team, tmp_path)
    path = other / "Pulumi.test.yaml"
    commit(other, path.name, path.read_text().replace("hello:sha-aaaaaaaaaaaa", "hello:v8"))
    team.edit("test", images={"hello": UNKNOWN})
    ours = team.repository.head
    done = team.run("publish")
    assert (done.code, "others have changed the same meanwhile" in done.err) == (4, True), done.err
    assert team.repository.head == ours
    assert Repository(tmp_path / "origin.git").log()[0].title == f"{path.name}"


def test_a_branch_that_takes_no_unchecked_commit_gets_it_once_it_is_checked(team: Team, tmp_path: Path) -> None:
    remote(team, tmp_path)
    hook = tmp_path / "origin.git" / "hooks" / "update"
    # In the place of a rule: main takes what a branch slipway/… has had, which is when the check would have run.
    hook.write_text('#!/bin/sh\\ncase $1 in *main) git for-each-ref --points-at "$3" | grep -q slipway/ ;; esac\\n')
    hook.write_text(hook.read_text().replace("\\n", "\n"))
    hook.chmod(0o755)
    team.edit("test", images={"hello": UNKNOWN})
    done = team.run("publish", "--patience", "30")
    assert done.code == 0, done.err
    assert "to be checked" in done.out
    origin = Repository(tmp_path / "origin.git")
    assert origin.log()[0].title == "Edit test"
    listed = subprocess.run(["git", "-C", origin.directory, "branch"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["*", "main"], "the branch of its own is gone"


def test_a_commit_that_is_never_taken_stays_where_it_is_checked(team: Team, tmp_path: Path) -> None:
    remote(team, tmp_path)
    hook = tmp_path / "origin.git" / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho protected >&2\ncase $1 in *main) exit 1 ;; esac\n")
    hook.chmod(0o755)
    team.edit("test", images={"hello": UNKNOWN})
    done = team.run("publish", "--patience", "0")
    assert done.code == 4
    assert "origin does not take the commits into main" in done.err
    assert "slipway/" in done.err


AUTHOR = ["-c", "user.name=dev", "-c", "user.email=dev@example.com"]


def remote(team: Team, folder: Path) -> Path:
    """A repository that the team's directory has as origin, and somebody else's clone of it."""
    origin, other = folder / "origin.git", folder / "other"
    subprocess.run(["git", "clone", "--quiet", "--bare", team.directory, origin], check=True)
    subprocess.run(["git", "clone", "--quiet", origin, other], check=True)
    subprocess.run(["git", "-C", team.directory, "remote", "add", "origin", origin], check=True)
    return other


def commit(directory: Path, file: str, content: str) -> None:
    (directory / file).write_text(content)
    subprocess.run(["git", "-C", directory, "add", file], check=True)
    title = content if " " in content and "\n" not in content else file
    subprocess.run(["git", "-C", directory, *AUTHOR, "commit", "--quiet", "-m", title], check=True)
    subprocess.run(["git", "-C", directory, "push", "--quiet"], check=True)
