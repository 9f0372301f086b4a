"""An environment as GitHub knows it: jobs wait before it, come from certain branches, and find their secrets there.

Its secrets reach no job that was not let in. GitHub's own reviewers are the outer gate: what a release must carry to
enter is asked inside, by `slipway promote`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_github as github

from components.github_model import EnvironmentModel


@dataclass(frozen=True)
class GithubEnvironmentArgs:
    """`repository` is the repository's name."""

    shape: EnvironmentModel
    repository: pulumi.Output[str]


class GithubEnvironment(pulumi.ComponentResource):
    """One environment of a repository, by the name of its stack."""

    def __init__(self, name: str, args: GithubEnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:GithubEnvironment", name, None, opts)
        self._name, self._shape, self._repository = name, args.shape, args.repository
        self.environment = self._create_environment()
        self._create_policies()
        self._create_settings()
        self.register_outputs({})

    def _create_environment(self) -> github.RepositoryEnvironment:
        teams = [self._id_of(team) for team in self._shape.reviewers]
        return github.RepositoryEnvironment(
            self._name,
            repository=self._repository,
            environment=self._name,
            reviewers=[github.RepositoryEnvironmentReviewerArgs(teams=teams)] if teams else [],
            prevent_self_review=True,
            can_admins_bypass=False,
            wait_timer=self._shape.wait_minutes,
            deployment_branch_policy=github.RepositoryEnvironmentDeploymentBranchPolicyArgs(
                protected_branches=False, custom_branch_policies=True
            ),
            opts=self._inside(),
        )

    def _create_policies(self) -> None:
        allowed = [("branch", pattern) for pattern in self._shape.branches]
        allowed += [("tag", pattern) for pattern in self._shape.tags]
        for kind, pattern in allowed:
            github.RepositoryEnvironmentDeploymentPolicy(
                f"{self._name}-{kind}-{pattern}",
                repository=self._repository,
                environment=self.environment.environment,
                branch_pattern=pattern if kind == "branch" else None,
                tag_pattern=pattern if kind == "tag" else None,
                opts=self._inside(),
            )

    def _create_settings(self) -> None:
        for name, value in self._shape.variables.items():
            github.ActionsEnvironmentVariable(
                f"{self._name}-variable-{name}",
                repository=self._repository,
                environment=self.environment.environment,
                variable_name=name,
                value=value,
                opts=self._inside(),
            )
        for name, secret in self._shape.secrets.items():
            github.ActionsEnvironmentSecret(
                f"{self._name}-secret-{name}",
                repository=self._repository,
                environment=self.environment.environment,
                secret_name=name,
                value=secret.output(),
                opts=self._inside(),
            )

    def _id_of(self, team: str) -> pulumi.Output[int]:
        """GitHub takes reviewers by number alone."""
        found = github.get_team_output(slug=team, summary_only=True, opts=pulumi.InvokeOutputOptions(parent=self))
        return found.id.apply(int)

    def _inside(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)
