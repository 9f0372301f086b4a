from __future__ import annotations

from pathlib import Path

import pytest

from adapters.errors import BadInput
from components.github_files import check_owners, foreign_actions, required_checks

CI = """\
on:
  push: {branches: [main]}
  pull_request:
jobs:
  lint:
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8
      - uses: astral-sh/setup-uv/sub@d0cc045d04ccac9d8b7881df0226f9e82c39688e
  test:
    name: every test
    steps:
      - uses: ./.github/actions/setup
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "ci.yml").write_text(CI)
    return tmp_path


def test_checks_are_called_as_github_shows_the_jobs_by_name_or_else_by_key(folder: Path) -> None:
    assert required_checks(folder, ["ci.yml"]) == ("lint", "every test")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CI.replace("pull_request:", "schedule:"), "line 1, on", "do not run on pull_request"),
        ("on: push\njobs: {a: {}}", "line 1, on", "do not run on pull_request"),
        ("on: [push]\njobs: {a: {}}", "line 1, on", "do not run on pull_request"),
        (
            CI.replace("pull_request:", "pull_request: {paths: [a]}"),
            "line 3, on.pull_request.paths",
            "not run on every",
        ),
        (
            CI.replace("  lint:", "  lint:\n    strategy: {matrix: {a: [1]}}"),
            "line 6, jobs.lint.strategy",
            "has a matrix",
        ),
        (CI.replace("  lint:", "  lint:\n    uses: ./other.yml"), "line 6, jobs.lint.uses", "uses another workflow"),
        (CI.replace("every test", "test ${{ github.ref }}"), "line 10, jobs.test.name", "made as it runs"),
        (CI.replace("every test", "lint"), "line 9, jobs.test", "two jobs are called 'lint'"),
    ],
)
def test_a_job_that_github_would_not_show_by_that_name_at_each_pull_request_is_refused_with_its_line(
    folder: Path, text: str, line: str, said: str
) -> None:
    (folder / "workflows" / "ci.yml").write_text(text)
    with pytest.raises(BadInput, match=said) as raised:
        required_checks(folder, ["ci.yml"])
    assert raised.value.where.startswith(f"ci.yml, {line}")


def test_jobs_of_two_workflows_may_not_share_a_name(folder: Path) -> None:
    (folder / "workflows" / "other.yml").write_text("on: pull_request\njobs: {lint: {}}\n")
    with pytest.raises(BadInput, match=r"other\.yml.*lint.*ci\.yml"):
        required_checks(folder, ["ci.yml", "other.yml"])


def test_every_trigger_that_is_asked_for_must_be_there(folder: Path) -> None:
    assert required_checks(folder, ["ci.yml"], triggers=("pull_request", "push"))
    with pytest.raises(BadInput, match="do not run on workflow_dispatch"):
        required_checks(folder, ["ci.yml"], triggers=("pull_request", "workflow_dispatch"))


def test_a_workflow_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"no such workflow.*Allowed: ci\.yml"):
        required_checks(folder, ["cd.yml"])


@pytest.mark.parametrize("text", ["on: [", "on: push", "- a"])
def test_what_is_no_workflow_is_refused(folder: Path, text: str) -> None:
    (folder / "workflows" / "ci.yml").write_text(text)
    with pytest.raises(BadInput, match=r"the workflow is no valid YAML|this is no workflow"):
        required_checks(folder, ["ci.yml"])


def test_foreign_actions_are_those_of_others_than_github_and_of_this_repository(folder: Path) -> None:
    setup = folder / "actions" / "setup"
    setup.mkdir(parents=True)
    (setup / "action.yml").write_text(f"runs: {{steps: [{{uses: pulumi/actions@{'8' * 40}}}]}}")
    assert foreign_actions(folder) == ("astral-sh/setup-uv", "pulumi/actions")


def test_an_owner_whom_github_would_not_ask_is_refused_with_the_line(folder: Path) -> None:
    (folder / "CODEOWNERS").write_text("# who\n* @org/developers\n/a @org/developers @org/qa # both\n")
    check_owners(folder, ["@org/developers", "@org/qa"])
    with pytest.raises(BadInput, match=r"CODEOWNERS, line 3: @org/qa.*Allowed: @org/developers"):
        check_owners(folder, ["@org/developers"])


def test_code_without_owners_is_refused_since_their_review_is_needed(folder: Path) -> None:
    with pytest.raises(BadInput, match="nobody owns the code"):
        check_owners(folder, [])
