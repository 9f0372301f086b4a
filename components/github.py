"""The repository on GitHub: who may do what in it, what main demands of a change, who lets a job into an environment.

Two rulesets hold main. `main` wants a pull request, its review by code owners and every check; the App that commits
promotions and rollbacks goes past it. Past `main-always` goes nobody: history is never rewritten, and the App's commits
must have passed the check that they change image configuration alone, so that its key, stolen, changes nothing else.
Administrators are on no list: they change these rules here, or obey them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi
import pulumi_github as github

from components import github_files
from components.github_environment import GithubEnvironment, GithubEnvironmentArgs
from components.github_model import GithubModel

_GITHUB_ACTIONS = 15368
"""The ID of the App that reports the checks of workflows; a check of that name by anybody else counts for nothing."""

_BRANCH = "~DEFAULT_BRANCH"


@dataclass(frozen=True)
class RepositoryArgs:
    """`checks` and `always` are names of checks: of a pull request's, and of every commit's of main."""

    shape: GithubModel
    checks: tuple[str, ...]
    always: tuple[str, ...]
    actions: tuple[str, ...]
    """Repositories of the actions that workflows may use beside GitHub's own."""

    @classmethod
    def read(cls, shape: GithubModel) -> RepositoryArgs:
        """What the repository's own files say; raises `BadInput` where they would not hold on GitHub."""
        folder, automation = github_files.FOLDER, shape.automation
        github_files.check_owners(folder, shape.may_own_code())
        return cls(
            shape=shape,
            checks=github_files.required_checks(folder, shape.checks),
            always=github_files.required_checks(
                folder, automation.checks if automation else (), triggers=("pull_request", "push")
            ),
            actions=github_files.foreign_actions(folder),
        )


class Repository(pulumi.ComponentResource):
    """A repository with its rules. Its children are attributes."""

    def __init__(self, name: str, args: RepositoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Repository", name, None, opts)
        self._args, self._shape = args, args.shape
        self.repository = self._create_repository()
        self._create_alerts()
        self._create_actions_permissions()
        self._create_teams()
        self.rulesets = {"main": self._create_main(), "main-always": self._create_main_always()}
        self.rulesets["versions"] = self._create_versions()
        self._create_settings()
        self.environments = self._create_environments()
        self.register_outputs({"fullName": self.repository.full_name})

    def _create_repository(self) -> github.Repository:
        """It holds the history of everything: it is protected, and archived rather than deleted.

        Where it was there before this stack, `pulumi import` knows it below no component.
        """
        enabled = {"status": "enabled" if self._shape.scan_secrets else "disabled"}
        return github.Repository(
            "repository",
            name=self._shape.repository,
            description=self._shape.description,
            visibility=self._shape.visibility,
            has_issues=True,
            has_wiki=False,
            has_projects=False,
            # One commit a pull request, so that reverting one is `git revert` of one commit.
            allow_squash_merge=True,
            allow_merge_commit=False,
            allow_rebase_merge=False,
            squash_merge_commit_title="PR_TITLE",
            squash_merge_commit_message="PR_BODY",
            delete_branch_on_merge=True,
            allow_update_branch=True,
            security_and_analysis=github.RepositorySecurityAndAnalysisArgs(
                secret_scanning=github.RepositorySecurityAndAnalysisSecretScanningArgs(**enabled),
                secret_scanning_push_protection=github.RepositorySecurityAndAnalysisSecretScanningPushProtectionArgs(
                    **enabled
                ),
            ),
            archive_on_destroy=True,
            opts=pulumi.ResourceOptions(
                parent=self, protect=True, aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]
            ),
        )

    def _create_alerts(self) -> None:
        """Known vulnerabilities of dependencies are told, and mended by pull requests."""
        alerts = github.RepositoryVulnerabilityAlerts(
            "vulnerability-alerts", repository=self.repository.name, enabled=True, opts=self._inside()
        )
        github.RepositoryDependabotSecurityUpdates(
            "security-updates", repository=self.repository.name, enabled=True, opts=self._inside(depends_on=[alerts])
        )

    def _create_actions_permissions(self) -> None:
        """Workflows run the actions that are in them now, by commit, and may only read unless a job says otherwise."""
        github.ActionsRepositoryPermissions(
            "actions",
            repository=self.repository.name,
            enabled=True,
            allowed_actions="selected",
            allowed_actions_config=github.ActionsRepositoryPermissionsAllowedActionsConfigArgs(
                github_owned_allowed=True,
                verified_allowed=False,
                patterns_alloweds=[f"{action}@*" for action in self._args.actions],
            ),
            sha_pinning_required=True,
            opts=self._inside(),
        )
        github.WorkflowRepositoryPermissions(
            "workflow-token",
            repository=self.repository.name,
            default_workflow_permissions="read",
            can_approve_pull_request_reviews=False,
            opts=self._inside(),
        )

    def _create_teams(self) -> None:
        for team, permission in self._shape.teams.items():
            github.TeamRepository(
                f"team-{team}",
                repository=self.repository.name,
                team_id=team,
                permission=permission,
                opts=self._inside(),
            )

    def _create_main(self) -> github.RepositoryRuleset:
        """How a person's change gets into main."""
        automation = self._shape.automation
        bypass = (
            [
                github.RepositoryRulesetBypassActorArgs(
                    actor_type="Integration", actor_id=automation.app, bypass_mode="always"
                )
            ]
            if automation
            else []
        )
        return self._create_ruleset(
            "main",
            target="branch",
            includes=_BRANCH,
            bypass_actors=bypass,
            rules=github.RepositoryRulesetRulesArgs(
                pull_request=github.RepositoryRulesetRulesPullRequestArgs(
                    required_approving_review_count=self._shape.approvals,
                    require_code_owner_review=True,
                    dismiss_stale_reviews_on_push=True,
                    require_last_push_approval=True,
                    required_review_thread_resolution=True,
                    allowed_merge_methods=["squash"],
                ),
                required_status_checks=_passed(self._args.checks, up_to_date=True),
            ),
        )

    def _create_main_always(self) -> github.RepositoryRuleset:
        """What holds for every commit of main, whoever pushes it."""
        return self._create_ruleset(
            "main-always",
            target="branch",
            includes=_BRANCH,
            bypass_actors=[],
            rules=github.RepositoryRulesetRulesArgs(
                deletion=True,
                non_fast_forward=True,
                required_linear_history=True,
                required_status_checks=_passed(self._args.always, up_to_date=False) if self._args.always else None,
            ),
        )

    def _create_versions(self) -> github.RepositoryRuleset:
        """A version means the same for ever."""
        return self._create_ruleset(
            "versions",
            target="tag",
            includes="refs/tags/v*",
            bypass_actors=[],
            rules=github.RepositoryRulesetRulesArgs(update=True, deletion=True, non_fast_forward=True),
        )

    def _create_ruleset(
        self,
        name: str,
        *,
        target: str,
        includes: str,
        bypass_actors: list[github.RepositoryRulesetBypassActorArgs],
        rules: github.RepositoryRulesetRulesArgs,
    ) -> github.RepositoryRuleset:
        return github.RepositoryRuleset(
            name,
            name=name,
            repository=self.repository.name,
            target=target,
            enforcement="active",
            conditions=github.RepositoryRulesetConditionsArgs(
                ref_name=github.RepositoryRulesetConditionsRefNameArgs(includes=[includes], excludes=[])
            ),
            bypass_actors=bypass_actors,
            rules=rules,
            opts=self._inside(),
        )

    def _create_settings(self) -> None:
        """What every workflow is told; the App tells its name itself."""
        variables = dict(self._shape.variables)
        if automation := self._shape.automation:
            variables |= {"SLIPWAY_APP_ID": str(automation.app), "SLIPWAY_APP_SLUG": automation.slug}
        for name, value in variables.items():
            github.ActionsVariable(
                f"variable-{name}",
                repository=self.repository.name,
                variable_name=name,
                value=value,
                opts=self._inside(),
            )
        for name, secret in self._shape.secrets.items():
            github.ActionsSecret(
                f"secret-{name}",
                repository=self.repository.name,
                secret_name=name,
                value=secret.output(),
                opts=self._inside(),
            )

    def _create_environments(self) -> dict[str, GithubEnvironment]:
        """Each twice: what brings nothing new, such as a rollback or a look for drift, waits for nobody."""
        shapes = dict(self._shape.environments)
        shapes |= {f"{name}-unattended": shape.unattended() for name, shape in self._shape.environments.items()}
        return {
            name: GithubEnvironment(name, GithubEnvironmentArgs(shape, self.repository.name), opts=self._inside())
            for name, shape in shapes.items()
        }

    def _inside(self, depends_on: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=depends_on)


def _passed(checks: Iterable[str], *, up_to_date: bool) -> github.RepositoryRulesetRulesRequiredStatusChecksArgs:
    return github.RepositoryRulesetRulesRequiredStatusChecksArgs(
        strict_required_status_checks_policy=up_to_date,
        required_checks=[
            github.RepositoryRulesetRulesRequiredStatusChecksRequiredCheckArgs(
                context=check, integration_id=_GITHUB_ACTIONS
            )
            for check in checks
        ],
    )
