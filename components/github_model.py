"""The parts of a github stack's configuration: what each key means, its unit and the reason for its default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.model import Model, Name
from components.secret import Secret

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([-_a-z0-9]{0,98}[a-z0-9])?$")]
"""What GitHub makes of a team's or an App's name, as in its address."""

Permission = Literal["pull", "triage", "push", "maintain", "admin"]

SettingName = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
"""A variable's or a secret's (https://docs.github.com/actions/reference/security/secrets#naming-your-secrets)."""

Pattern = Annotated[str, Field(min_length=1)]
WorkflowFiles = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[^/]+\.ya?ml$")], ...], Field(strict=False, min_length=1)
]

_MAY_REVIEW_CODE = frozenset({"push", "maintain", "admin"})


class Automation(Model):
    """The GitHub App whose commits promotions and rollbacks are. It goes past review, and past nothing else."""

    app: int = Field(ge=1, description="The App's ID, from its settings.")
    slug: Slug = Field(description="The App's name as in its address, github.com/apps/NAME.")
    checks: WorkflowFiles = Field(
        default=("commits.yml",),
        description="Workflows, of .github/workflows, whose jobs every commit of main must have passed, the App's too: "
        "they refuse what is more than image configuration. They run on pull requests and on pushes.",
    )


class EnvironmentModel(Model):
    """An environment as GitHub knows it: who lets a job into it, from where, and what the job is told there."""

    reviewers: Annotated[tuple[Slug, ...], Field(strict=False, max_length=6)] = Field(
        default=(),
        description="Teams of whom one member, other than who started it, lets a job in. Default: nobody is asked.",
    )
    wait_minutes: int = Field(
        default=0, ge=0, le=43200, description="How long a job waits before it goes in, in minutes; time to object."
    )
    branches: Annotated[tuple[Pattern, ...], Field(strict=False)] = Field(
        default=("main",), description="Branches whose jobs may go in, as patterns: `main`, `development/*`."
    )
    tags: Annotated[tuple[Pattern, ...], Field(strict=False)] = Field(
        default=(), description="Tags whose jobs may go in, as patterns: `v*`. Default: none."
    )
    variables: dict[SettingName, str] = Field(
        default={}, description="What workflows read as `vars.NAME` in this environment."
    )
    secrets: dict[SettingName, Secret] = Field(
        default={}, description="What workflows read as `secrets.NAME` in this environment; encrypted."
    )

    def unattended(self) -> Self:
        """The same with nobody to ask and nothing to wait for, and for the default branch alone."""
        return self.model_copy(update={"reviewers": (), "wait_minutes": 0, "branches": ("main",), "tags": ()})


class GithubModel(Model):
    """A repository, what protects it, and what its workflows are told."""

    owner: str = Field(
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]{0,37}[A-Za-z0-9])?$", description="The organisation it belongs to."
    )
    repository: str = Field(pattern=r"^[-._A-Za-z0-9]+$", description="Its name.")
    description: str = Field(default="", description="The line that GitHub shows beside its name.")
    visibility: Literal["public", "private", "internal"] = Field(
        default="private", description="Who sees it. `internal` is for enterprises."
    )
    scan_secrets: bool = Field(
        default=True,
        description="Whether GitHub looks for secrets and refuses a push that holds one. Free for public repositories, "
        "for others a part of GitHub Secret Protection: false without that.",
    )
    teams: dict[Slug, Permission] = Field(
        min_length=1,
        description="What each team may do: `pull`, `triage`, `push`, `maintain` or `admin`. Owners in CODEOWNERS need "
        "`push` at least, or GitHub asks nobody for their review.",
    )
    approvals: int = Field(default=1, ge=1, le=10, description="How many reviews a pull request needs.")
    checks: WorkflowFiles = Field(
        default=("ci.yml",),
        description="Workflows, of .github/workflows, all of whose jobs a pull request must pass. The names of the "
        "jobs are read from them.",
    )
    automation: Automation | None = Field(
        default=None, description="Who commits promotions and rollbacks. Default: only people, by pull requests."
    )
    environments: dict[Name, EnvironmentModel] = Field(
        default={}, description="What GitHub guards of each environment, by the name of its stack."
    )
    variables: dict[SettingName, str] = Field(default={}, description="What every workflow reads as `vars.NAME`.")
    secrets: dict[SettingName, Secret] = Field(
        default={}, description="What every workflow reads as `secrets.NAME`; encrypted."
    )

    def may_own_code(self) -> Iterator[str]:
        """The teams whose review GitHub asks for, as CODEOWNERS names them: `@owner/team`."""
        for team, permission in self.teams.items():
            if permission in _MAY_REVIEW_CODE:
                yield f"@{self.owner}/{team}"

    @model_validator(mode="after")
    def _reviewers_are_known(self) -> Self:
        for name, place in self.environments.items():
            if unknown := sorted({*place.reviewers} - self.teams.keys()):
                raise ValueError(
                    f"the team {unknown[0]} reviews deployments to {name} and is not among `teams`: who reviews has to "
                    "see the repository"
                )
        return self
