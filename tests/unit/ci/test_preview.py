"""The scripts behind preview.yml, in a repository of git, with programs in the place of `slipway` and GitHub's `gh`."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.paths import REPOSITORY

SLIPWAY = """\
#!/bin/sh
echo "$3" >> "$CALLS"
if [ "$3" = preview ]; then echo "Deployment stage/hello: spec.replicas"; exit "$CODE"; fi
grep -q broken "$2/Pulumi.$4.yaml" && { echo "the file is broken"; exit 3; }
mkdir -p "$6" && grep replicas "$2/Pulumi.$4.yaml" > "$6/deployment.yaml"
"""
GH = """\
#!/bin/sh
[ "$2" != --paginate ] || { cat "$KNOWN"; exit; }
echo "$@" >> "$CALLS"
"""


@dataclass
class Change:
    """A repository with the commit `main` and changes on top."""

    folder: Path

    def git(self, *args: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(self.folder), *who, *args], check=True, capture_output=True)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change")

    def run(self, script: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        places = {"CALLS": str(self.folder / ".git" / "calls"), "KNOWN": str(self.folder / ".git" / "known")}
        path = f"{self.folder / '.git' / 'programs'}:{os.environ['PATH']}"
        argv = ["bash", str(REPOSITORY / ".ci" / script), *args]
        return subprocess.run(
            argv, cwd=self.folder, env={"PATH": path, **places, **env}, capture_output=True, text=True, check=False
        )

    @property
    def calls(self) -> list[str]:
        path = self.folder / ".git" / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def change(tmp_path: Path) -> Change:
    change = Change(tmp_path)
    change.git("init", "--quiet", "--initial-branch=main")
    for stack in ("test", "stage"):
        change.write(f"Pulumi.{stack}.yaml", "config:\n  slipway:kind: environment\n  replicas: 1\n")
    change.write("Pulumi.github.yaml", "config:\n  slipway:kind: github\n")
    change.write("__main__.py", "")
    change.commit()
    change.git("switch", "--quiet", "--create", "work")
    programs = tmp_path / ".git" / "programs"
    programs.mkdir()
    for name, text in {"slipway": SLIPWAY, "gh": GH}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / ".git" / "known").touch()
    return change


@pytest.mark.parametrize(
    ("changed", "stacks"),
    [
        ("Pulumi.stage.yaml", ["stage"]),
        ("README.md", []),
        ("Pulumi.github.yaml", []),
        ("components/service.py", ["stage", "test"]),
        ("__main__.py", ["stage", "test"]),
    ],
)
def test_a_stack_is_looked_at_when_its_file_or_the_program_changed(
    change: Change, changed: str, stacks: list[str]
) -> None:
    path = change.folder / changed
    change.write(changed, (path.read_text() if path.exists() else "") + "# changed\n")
    change.commit()
    assert json.loads(change.run("changed-stacks", "main").stdout) == stacks


def test_a_stack_that_is_gone_is_not_looked_at(change: Change) -> None:
    change.git("rm", "--quiet", "Pulumi.stage.yaml")
    change.commit()
    assert json.loads(change.run("changed-stacks", "main").stdout) == []


def replicas(change: Change, number: int | str) -> None:
    change.write("Pulumi.stage.yaml", f"config:\n  slipway:kind: environment\n  replicas: {number}\n")
    change.commit()


def test_without_a_cluster_the_difference_of_the_manifests_is_shown(change: Change) -> None:
    replicas(change, 2)
    done = change.run("preview", "stage", "main")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### `stage`: how its manifests would differ\n")
    assert "-  replicas: 1\n+  replicas: 2" in done.stdout
    assert change.calls == ["render", "render"]


def test_of_a_stack_that_is_new_everything_is_shown(change: Change) -> None:
    change.write("Pulumi.prod.yaml", "config:\n  replicas: 3\n")
    change.commit()
    assert "+  replicas: 3" in change.run("preview", "prod", "main").stdout


def test_where_nothing_differs_it_says_so(change: Change) -> None:
    assert "\nNothing.\n" in change.run("preview", "stage", "main").stdout


def test_with_its_cluster_in_reach_the_preview_is_shown(change: Change) -> None:
    done = change.run("preview", "stage", "main", PREVIEW="cluster", CODE="0")
    assert done.stdout.startswith("### `stage`: what would change in its cluster\n")
    assert "spec.replicas" in done.stdout
    assert change.calls == ["preview"]


def test_a_preview_that_is_refused_is_shown_and_fails(change: Change) -> None:
    done = change.run("preview", "stage", "main", PREVIEW="cluster", CODE="3")
    assert done.returncode == 3
    assert "spec.replicas" in done.stdout


def test_a_cluster_that_does_not_answer_leaves_the_difference(change: Change) -> None:
    replicas(change, 2)
    done = change.run("preview", "stage", "main", PREVIEW="cluster", CODE="5")
    assert done.returncode == 0
    assert "+  replicas: 2" in done.stdout


def test_a_stack_file_that_cannot_be_rendered_fails_with_the_reason(change: Change) -> None:
    replicas(change, "broken")
    done = change.run("preview", "stage", "main")
    assert done.returncode == 1
    assert "the file is broken" in done.stderr


def test_no_work_tree_is_left_behind(change: Change) -> None:
    change.run("preview", "stage", "main")
    found = subprocess.run(["git", "worktree", "list"], cwd=change.folder, capture_output=True, text=True, check=True)
    assert len(found.stdout.splitlines()) == 1


def test_a_comment_is_written_once_and_then_brought_up_to_date(change: Change) -> None:
    change.write("preview.md", "### `stage`: what would change\n\nNothing.\n")
    change.run("comment", "7", "preview.md", GH_REPO="org/slipway")
    (change.folder / ".git" / "known").write_text("4711\n4712\n")
    change.run("comment", "7", "preview.md", GH_REPO="org/slipway")
    first, second = change.calls
    assert "POST repos/org/slipway/issues/7/comments" in first
    assert "PATCH repos/org/slipway/issues/comments/4711" in second
