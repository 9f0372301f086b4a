"""Only what is asked for is committed, and nothing of anybody else is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from adapters.errors import BadInput, Refused, SlipwayError
from adapters.git import Repository


def git(directory: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(directory), *args], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    (repository / "a.yaml").write_text("a: 1\n")
    (repository / "b.yaml").write_text("b: 1\n")
    Repository(repository).commit([repository / "a.yaml", repository / "b.yaml"], "Begin")
    return repository


def test_only_the_named_file_is_committed(directory: Path) -> None:
    (directory / "a.yaml").write_text("a: 2\n")
    (directory / "b.yaml").write_text("b: 2\n")
    (directory / "staged.txt").write_text("staged")
    (directory / "untracked.txt").write_text("untracked")
    git(directory, "add", "staged.txt")

    sha = Repository(directory).commit([directory / "a.yaml"], "Change a\n\nwith a reason")

    assert git(directory, "show", "--name-only", "--format=%B", sha).split() == [
        *("Change", "a", "with", "a", "reason"),
        "a.yaml",
    ]
    assert git(directory, "status", "--porcelain").splitlines() == [
        " M b.yaml",
        "A  staged.txt",
        "?? untracked.txt",
    ]


def test_a_new_file_is_committed(directory: Path) -> None:
    (directory / "c.yaml").write_text("c: 1\n")
    repository = Repository(directory)
    assert repository.commit([Path("c.yaml")], "Add c") == repository.head
    assert repository.content(Path("c.yaml")) == b"c: 1\n"


def test_nothing_changed_makes_no_commit(directory: Path) -> None:
    repository = Repository(directory)
    head = repository.head
    assert repository.commit([directory / "a.yaml"], "Nothing") == head
    assert len(repository.log()) == 1


def test_somebody_elses_uncommitted_changes_are_refused(directory: Path) -> None:
    repository = Repository(directory)
    repository.check_clean([directory / "a.yaml"])
    (directory / "a.yaml").write_text("a: theirs\n")
    with pytest.raises(Refused, match=r"a\.yaml has changes"):
        repository.check_clean([directory / "a.yaml", directory / "b.yaml"])


def test_a_file_changed_after_we_wrote_it_is_not_committed(directory: Path) -> None:
    path = directory / "a.yaml"
    path.write_text("a: theirs\n")
    repository = Repository(directory)
    with pytest.raises(Refused, match="changed by somebody else"):
        repository.commit([path], "Ours", expect={path: b"a: ours\n"})
    assert len(repository.log()) == 1
    assert path.read_text() == "a: theirs\n"


def test_the_configured_identity_is_used_where_there_is_one(directory: Path) -> None:
    repository = Repository(directory)
    assert repository.log()[0].author == "slipway"
    assert repository.person() is None
    git(directory, "config", "user.name", "Maria")
    git(directory, "config", "user.email", "maria@example.com")
    (directory / "a.yaml").write_text("a: 2\n")
    repository.commit([directory / "a.yaml"], "Change a")
    assert repository.log()[0].author == "Maria"
    assert repository.person() == "Maria"


def test_a_file_is_restored_as_a_new_commit(directory: Path) -> None:
    repository, path = Repository(directory), directory / "a.yaml"
    before = repository.head or ""
    path.write_text("a: 2\n")
    repository.commit([path], "Change a")

    repository.restore(path, before, "Take it back")

    assert path.read_text() == "a: 1\n"
    assert [commit.title for commit in repository.log(path)] == ["Take it back", "Change a", "Begin"]
    assert repository.is_clean(path)


def test_the_log_of_a_file_leaves_others_out(directory: Path) -> None:
    repository = Repository(directory)
    (directory / "b.yaml").write_text("b: 2\n")
    repository.commit([directory / "b.yaml"], "Change b\n\nbecause")
    latest, first = repository.log(Path("b.yaml"))
    assert (latest.title, latest.message, first.title) == ("Change b", "Change b\n\nbecause", "Begin")
    assert [commit.title for commit in repository.log(Path("a.yaml"))] == ["Begin"]
    assert len(repository.log(limit=1)) == 1


def test_a_hook_that_fails_is_said(directory: Path) -> None:
    hook = directory / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho the rules forbid it\nexit 1\n")
    hook.chmod(0o755)
    (directory / "a.yaml").write_text("a: 2\n")
    with pytest.raises(SlipwayError, match="the rules forbid it"):
        Repository(directory).commit([directory / "a.yaml"], "Change a")


def test_a_directory_within_a_repository_is_served(directory: Path) -> None:
    inner = directory / "config"
    inner.mkdir()
    (inner / "Pulumi.prod.yaml").write_text("config: {}\n")
    repository = Repository(inner)
    assert repository.is_repository
    repository.commit([Path("Pulumi.prod.yaml")], "Add prod")
    assert repository.content(inner / "Pulumi.prod.yaml") == b"config: {}\n"
    assert repository.git_dir == directory / ".git"


def test_without_a_repository_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert not repository.is_repository
    with pytest.raises(BadInput, match="git init"):
        _ = repository.head
