"""Semantic versions and their order."""

from __future__ import annotations

import random

import pytest

from delivery.releases.versions import Version, versions

# https://semver.org/#spec-item-11, and one number that is more than a digit
ASCENDING = [
    "v0.9.0",
    "v1.0.0-alpha",
    "v1.0.0-alpha.1",
    "v1.0.0-alpha.beta",
    "v1.0.0-beta",
    "v1.0.0-beta.2",
    "v1.0.0-beta.11",
    "v1.0.0-rc.1",
    "v1.0.0",
    "v1.2.0",
    "v1.10.0",
    "v2.0.0",
]


def test_the_order_is_that_of_the_specification() -> None:
    shuffled = random.Random(1).sample(ASCENDING, len(ASCENDING))
    assert [str(version) for version in versions([*shuffled, "latest", "sha-0123456789ab"])] == ASCENDING


@pytest.mark.parametrize(
    "text", ["1.0.0", "v1.0", "v01.0.0", "v1.0.0-", "v1.0.0-01", "v1.0.0+build", "v1.0.0 ", "v1.0.0-é", "v١.0.0", "v1"]
)
def test_anything_else_is_no_version(text: str) -> None:
    assert Version.parse(text) is None
