"""What the `github` stack declares: each protection, of the repository as its files are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from adapters import yamledit
from adapters.errors import BadInput
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components import github_files
from components.reading import read_file

from .conftest import TEAM_IDS, Declare, Plain, Recorded, Registered, committed, in_clear

ACTIONS_APP = 15368
WORKFLOWS = {
    "ci.yml": {
        "on": ["push", "pull_request"],
        "jobs": {"lint": {"steps": [{"uses": "o/a@1"}]}, "e2e": {"name": "e2e tests"}},
    },
    "commits.yml": {"on": ["push", "pull_request"], "jobs": {"image-configuration": {}}},
}


@pytest.fixture(autouse=True)
def _workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workflows of a few jobs, in the place of the committed ones, with the committed owners."""
    folder = tmp_path / ".github"
    (folder / "workflows").mkdir(parents=True)
    for name, workflow in WORKFLOWS.items():
        (folder / "workflows" / name).write_text(json.dumps(workflow))
    (folder / "CODEOWNERS").write_text((github_files.FOLDER / "CODEOWNERS").read_text())
    monkeypatch.setattr(github_files, "FOLDER", folder)


def config(**changes: Any) -> dict[str, Any]:
    found = committed("github")
    found["github"] |= changes
    return found


def of(recorded: Recorded, kind: str) -> list[Registered]:
    return [r for r in recorded.resources if r.request.type.startswith("github:") and r.kind == kind]


def one(recorded: Recorded, kind: str, name: str = "") -> dict[str, Any]:
    (found,) = [r for r in of(recorded, kind) if name in ("", r.request.name)]
    return found.manifest


def ruleset(recorded: Recorded, name: str) -> dict[str, Any]:
    found = one(recorded, "RepositoryRuleset", name)
    assert found["enforcement"] == "active"
    return found


def contexts(found: dict[str, Any]) -> list[str]:
    checks = found["rules"]["requiredStatusChecks"]["requiredChecks"]
    assert {check["integrationId"] for check in checks} == {ACTIONS_APP}, "or anybody could report them"
    return [check["context"] for check in checks]


@pytest.fixture
def recorded(declare_once: Declare) -> Recorded:
    return declare_once(config(), stack="github")


def test_main_takes_a_change_only_by_a_reviewed_pull_request(recorded: Recorded) -> None:
    main = ruleset(recorded, "main")
    assert main["target"] == "branch"
    assert main["conditions"]["refName"] == {"includes": ["~DEFAULT_BRANCH"], "excludes": []}
    review = main["rules"]["pullRequest"]
    assert review["requiredApprovingReviewCount"] == 1
    needed = ("requireCodeOwnerReview", "dismissStaleReviewsOnPush", "requireLastPushApproval")
    assert all(review[each] is True for each in (*needed, "requiredReviewThreadResolution"))


def test_a_pull_request_must_pass_every_job_of_the_workflow_and_be_up_to_date(recorded: Recorded) -> None:
    main = ruleset(recorded, "main")
    assert contexts(main) == ["lint", "e2e tests"]
    assert main["rules"]["requiredStatusChecks"]["strictRequiredStatusChecksPolicy"] is True


def test_a_job_that_is_renamed_is_required_by_its_new_name(declare: Declare, tmp_path: Path) -> None:
    path = tmp_path / ".github" / "workflows" / "ci.yml"
    path.write_text(path.read_text().replace("e2e tests", "end to end"))
    assert contexts(ruleset(declare(config(), stack="github"), "main")) == ["lint", "end to end"]


def test_history_is_linear_and_nobody_rewrites_it(recorded: Recorded) -> None:
    always = ruleset(recorded, "main-always")
    assert always["conditions"] == ruleset(recorded, "main")["conditions"]
    rules = always["rules"]
    assert (rules["deletion"], rules["nonFastForward"], rules["requiredLinearHistory"]) == (True, True, True)
    assert not always.get("bypassActors")
    repository = one(recorded, "Repository")
    methods = {key: repository[key] for key in ("allowSquashMerge", "allowMergeCommit", "allowRebaseMerge")}
    assert methods == {"allowSquashMerge": True, "allowMergeCommit": False, "allowRebaseMerge": False}
    assert ruleset(recorded, "main")["rules"]["pullRequest"]["allowedMergeMethods"] == ["squash"]


def test_the_app_alone_goes_past_review_and_not_past_the_check_of_what_its_commits_change(recorded: Recorded) -> None:
    app = committed("github")["github"]["automation"]["app"]
    bypass = [{"actorType": "Integration", "actorId": app, "bypassMode": "always"}]
    assert ruleset(recorded, "main")["bypassActors"] == bypass
    assert contexts(ruleset(recorded, "main-always")) == ["image-configuration"]


def test_without_an_app_nobody_goes_past_anything(declare: Declare) -> None:
    without = config()
    del without["github"]["automation"]
    recorded = declare(without, stack="github")
    assert not [r.manifest for r in of(recorded, "RepositoryRuleset") if r.manifest.get("bypassActors")]
    assert "requiredStatusChecks" not in ruleset(recorded, "main-always")["rules"]


def test_a_version_tag_is_never_moved_nor_deleted(recorded: Recorded) -> None:
    versions = ruleset(recorded, "versions")
    assert versions["target"] == "tag"
    assert versions["conditions"]["refName"]["includes"] == ["refs/tags/v*"]
    assert {versions["rules"][rule] for rule in ("update", "deletion", "nonFastForward")} == {True}
    assert not versions.get("bypassActors")


def test_prod_waits_for_qa_who_did_not_start_it_and_takes_jobs_of_main_alone(recorded: Recorded) -> None:
    prod = one(recorded, "RepositoryEnvironment", "prod")
    assert prod["reviewers"] == [{"teams": [TEAM_IDS["qa"]]}]
    assert prod["preventSelfReview"] is True
    assert prod["canAdminsBypass"] is False
    assert prod["waitTimer"] == 5
    assert prod["deploymentBranchPolicy"] == {"customBranchPolicies": True, "protectedBranches": False}
    assert policies(recorded, "prod") == ["main"]


def policies(recorded: Recorded, environment: str) -> list[str]:
    found = [r.manifest for r in of(recorded, "RepositoryEnvironmentDeploymentPolicy")]
    return [p.get("branchPattern") or p["tagPattern"] for p in found if p["environment"] == environment]


def test_every_environment_stack_is_one_of_github_and_only_test_takes_development_branches_and_versions(
    recorded: Recorded,
) -> None:
    names = {r.request.name for r in of(recorded, "RepositoryEnvironment")}
    assert {name for name in names if not name.endswith("-unattended")} == {"test", "stage", "prod"}
    assert {name: policies(recorded, name) for name in ("test", "stage")} == {
        "test": ["main", "development/**/*", "v*"],
        "stage": ["main"],
    }


def test_a_rollback_waits_for_nobody_and_is_a_job_of_main_with_the_secrets_of_its_environment(declare: Declare) -> None:
    changed = config()
    changed["github"]["environments"]["prod"]["secrets"] = {"SLIPWAY_PASSPHRASE": Plain("the passphrase of prod")}
    recorded = declare(changed, stack="github")
    rollback = one(recorded, "RepositoryEnvironment", "prod-unattended")
    assert (rollback["reviewers"], rollback["waitTimer"], rollback["canAdminsBypass"]) == ([], 0, False)
    assert policies(recorded, "prod-unattended") == policies(recorded, "test-unattended") == ["main"]
    secrets = {r.manifest["environment"]: r.manifest["value"] for r in of(recorded, "ActionsEnvironmentSecret")}
    assert secrets == dict.fromkeys(["prod", "prod-unattended"], "the passphrase of prod")


def test_tags_may_be_let_in_by_pattern(declare: Declare) -> None:
    changed = config(environments={"prod": {"branches": [], "tags": ["v*"]}})
    assert policies(declare(changed, stack="github"), "prod") == ["v*"]


def test_workflows_run_only_the_actions_they_use_by_commit_and_may_only_read(recorded: Recorded) -> None:
    actions = one(recorded, "ActionsRepositoryPermissions")
    assert actions["allowedActions"] == "selected"
    assert actions["shaPinningRequired"] is True
    assert actions["allowedActionsConfig"] == {
        "githubOwnedAllowed": True,
        "verifiedAllowed": False,
        "patternsAlloweds": ["o/a@*"],
    }
    token = one(recorded, "WorkflowRepositoryPermissions")
    assert token["defaultWorkflowPermissions"] == "read"
    assert token["canApprovePullRequestReviews"] is False


def test_secrets_in_pushes_and_vulnerable_dependencies_are_looked_for(recorded: Recorded) -> None:
    analysis = one(recorded, "Repository")["securityAndAnalysis"]
    assert {analysis[each]["status"] for each in ("secretScanning", "secretScanningPushProtection")} == {"enabled"}
    assert one(recorded, "RepositoryVulnerabilityAlerts")["enabled"] is True
    assert one(recorded, "RepositoryDependabotSecurityUpdates")["enabled"] is True


def test_the_repository_cannot_be_deleted_by_accident(recorded: Recorded) -> None:
    (repository,) = of(recorded, "Repository")
    assert repository.request.protect is True
    assert repository.manifest["archiveOnDestroy"] is True


def test_a_repository_that_was_imported_is_known_again_inside_its_component(recorded: Recorded) -> None:
    (repository,) = of(recorded, "Repository")
    (alias,) = repository.request.aliases
    assert alias.spec.noParent


def test_teams_may_do_what_the_configuration_says(recorded: Recorded) -> None:
    found = {r.manifest["teamId"]: r.manifest["permission"] for r in of(recorded, "TeamRepository")}
    assert found == committed("github")["github"]["teams"]


def test_secrets_reach_github_and_are_in_clear_nowhere(declare: Declare) -> None:
    changed = config(secrets={"SLIPWAY_APP_KEY": Plain("the key of the app")}, variables={"SLIPWAY_RUNNER": "ours"})
    changed["github"]["environments"]["prod"] |= {
        "secrets": {"SLIPWAY_PASSPHRASE": Plain("the passphrase of prod")},
        "variables": {"SLIPWAY_RUNNER": "inside"},
    }
    recorded = declare(changed, stack="github")
    everywhere, inside = one(recorded, "ActionsSecret"), of(recorded, "ActionsEnvironmentSecret")[0].manifest
    assert (everywhere["secretName"], everywhere["value"]) == ("SLIPWAY_APP_KEY", "the key of the app")
    assert inside == {
        "repository": "slipway",
        "environment": "prod",
        "secretName": "SLIPWAY_PASSPHRASE",
        "value": "the passphrase of prod",
    }
    assert {r.manifest["value"] for r in of(recorded, "ActionsEnvironmentVariable")} == {"inside"}
    for resource in recorded.resources:
        assert "the key of" not in in_clear(resource)
        assert "the passphrase of" not in in_clear(resource)
    assert "the key of" not in str(recorded.outputs)


def test_workflows_are_told_which_app_commits(recorded: Recorded) -> None:
    told = {r.manifest["variableName"]: r.manifest["value"] for r in of(recorded, "ActionsVariable")}
    assert told == {"SLIPWAY_APP_ID": "1", "SLIPWAY_APP_SLUG": "org-slipway"}


def test_everything_goes_to_the_named_owner_by_an_explicit_provider_without_a_token(recorded: Recorded) -> None:
    provider = recorded.one_provider("github")
    assert provider.manifest["owner"] == "org"
    assert "token" not in provider.manifest
    declared = [r for r in recorded.resources if r.request.type.startswith("github:")]
    assert {r.request.provider.partition("::github")[1] for r in declared} == {"::github"}
    assert recorded.objects == []


def test_owners_of_code_who_may_not_write_are_refused_before_anything_is_declared(declare: Declare) -> None:
    with pytest.raises(BadInput, match=r"CODEOWNERS, line \d+: @org/platform.*Allowed: @org/developers"):
        declare(config(teams={"platform": "pull", "developers": "push", "qa": "triage"}), stack="github")


def written(tmp_path: Path, text: str) -> StackFile:
    path = tmp_path / "Pulumi.github.yaml"
    path.write_text(text)
    for stack in ("test", "stage", "prod"):
        (tmp_path / f"Pulumi.{stack}.yaml").touch()
    return StackFile.load(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "stage: {}",
            "staging: {}",
            r"github\.environments\.staging: there is no stack 'staging' \(did you mean 'stage'",
        ),
        ("reviewers: [qa]", "reviewers: [qs]", "the team qs reviews deployments to prod and is not among `teams`"),
        ("qa: triage", "qa: write", "'write': input should be 'pull', 'triage', 'push', 'maintain' or 'admin'"),
        ("approvals: 1", "approvals: 0", "greater than or equal to 1"),
        ("waitMinutes: 5", "waitHours: 5", "did you mean 'waitMinutes'"),
        ("approvals: 1", "secrets: {SLIPWAY_APP_KEY: clear}", "stands here in plain text"),
        ("approvals: 1", "variables: {slipway-app: a}", "does not have the form"),
    ],
)
def test_a_mistake_in_the_stack_file_is_one_paragraph_with_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = (REPOSITORY / "Pulumi.github.yaml").read_text()
    read_file(written(tmp_path, text))
    assert old in text
    with pytest.raises(BadInput, match=said) as raised:
        read_file(written(tmp_path, text.replace(old, new)))
    assert re.match(r"Pulumi\.github\.yaml, line \d+, slipway:github", raised.value.where)


COMMITTED = REPOSITORY / ".github"
"""The files of this repository, which fixtures above take away from where the program looks."""


def test_every_committed_job_of_ci_can_be_required_and_the_check_of_the_app_is_not_one_that_it_bypasses() -> None:
    shape = read_file(StackFile.load(REPOSITORY / "Pulumi.github.yaml")).github
    checks = github_files.required_checks(COMMITTED, shape.checks)
    always = github_files.required_checks(COMMITTED, shape.automation.checks, triggers=("pull_request", "push"))
    assert {"lint", "unit", "integration", "e2e"} <= {*checks}
    assert always == ("image-configuration",)
    assert not {*checks} & {*always}


def test_every_committed_owner_may_own_code() -> None:
    shape = read_file(StackFile.load(REPOSITORY / "Pulumi.github.yaml")).github
    github_files.check_owners(COMMITTED, shape.may_own_code())


def test_every_variable_and_secret_that_workflows_read_is_in_the_documentation() -> None:
    files = [*COMMITTED.glob("workflows/*.yml"), *COMMITTED.glob("actions/*/action.yml")]
    read = {name for file in files for name in re.findall(r"\b(?:vars|secrets)\.[A-Z_]+", file.read_text())}
    documented = set(re.findall(r"`((?:vars|secrets)\.[A-Z_]+)`", (REPOSITORY / "docs" / "github.md").read_text()))
    assert read - {"secrets.GITHUB_TOKEN"} == documented


def test_every_job_that_reads_a_secret_is_in_an_environment() -> None:
    for file in COMMITTED.glob("workflows/*.yml"):
        jobs: dict[str, Any] = yamledit.parse(file.read_text())["jobs"]
        outside = [name for name, job in jobs.items() if "secrets.SLIPWAY" in str(job) and not job.get("environment")]
        assert outside == [], file.name


def test_the_check_of_the_app_is_made_by_the_code_of_main_and_not_by_that_of_the_commit_it_judges() -> None:
    job = yamledit.parse((COMMITTED / "workflows" / "commits.yml").read_text())["jobs"]["image-configuration"]
    first, *_, last = job["steps"]
    assert first["uses"].startswith("actions/checkout@")
    assert first["with"]["ref"] == "${{ env.BRANCH }}"
    assert "default_branch" in job["env"]["BRANCH"]
    assert "github.sha" in last["env"]["COMMIT"]


def test_rollbacks_run_where_nobody_has_to_be_asked() -> None:
    job = yamledit.parse((COMMITTED / "workflows" / "rollback.yml").read_text())["jobs"]["rollback"]
    assert job["environment"] == "${{ inputs.stack }}-unattended"


def test_every_environment_that_a_job_enters_is_declared(recorded: Recorded) -> None:
    declared = {r.request.name for r in of(recorded, "RepositoryEnvironment")}
    entered = set()
    for file in COMMITTED.glob("workflows/*.yml"):
        workflow: dict[str, Any] = yamledit.parse(file.read_text())
        for job in workflow["jobs"].values():
            name = job.get("environment", "")
            choices = (workflow["on"].get("workflow_dispatch") or {}) if isinstance(workflow["on"], dict) else {}
            stacks = choices.get("inputs", {}).get("stack", {}).get("options", [])
            places = [each["environment"] for each in job.get("strategy", {}).get("matrix", {}).get("include", [])]
            entered |= {name.replace("${{ inputs.stack }}", stack) for stack in stacks or [""]}
            entered |= {name.replace("${{ matrix.environment }}", place) for place in places}
    entered = {name for name in entered if name and "${{" not in name}
    assert {"test", "stage", "prod", "prod-unattended"} <= entered <= declared
