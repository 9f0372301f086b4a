"""Whether a release may enter an environment now: its gates, judged by the proof and the stacks there are."""

from __future__ import annotations

from datetime import UTC, datetime

from components.settings import EnvironmentSettings
from delivery.releases.artifact import Release
from delivery.releases.compare import forbidden
from delivery.releases.gates import Verdict, configuration_hash, judge
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace


def judge_entry(
    workspace: Workspace,
    store: ReleaseStore,
    settings: EnvironmentSettings,
    release: Release,
    now: datetime | None = None,
) -> list[Verdict]:
    """A verdict on each gate of the environment that `settings` are of, in their order in its file."""
    return judge(
        settings,
        release,
        store.proof_of(release),
        lambda other: configuration_hash(workspace.environment(other)),
        lambda other: forbidden(workspace.environment(other), settings),
        now or datetime.now(UTC),
    )
