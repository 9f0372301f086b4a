"""What a fresh platform runs gets a release once; it is signed as what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pulumi.automation import PulumiCommand

from adapters.command import run
from adapters.paths import REPOSITORY as CHECKOUT
from delivery.cli import main
from delivery.factory import Seams
from delivery.platform import TeamPlatform
from delivery.releases import bootstrap
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.proof import Kind, Piece
from delivery.releases.signing import KeySigner
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace
from local.platform.signers import Signers
from tests.unit.delivery.conftest import FakeEngine


class Platform:
    """Like a local platform: environments that trust this machine's signers, and images in the registry."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.signers, self.folder, self._registry = Signers(folder / "signers"), folder, registry
        self.said: list[str] = []
        (folder / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
        self._write("shared", {"slipway:kind": "shared"})

    def runs(self, stack: str, images: Mapping[str, str], *, tags: bool = False) -> None:
        self._write(
            stack,
            {
                "slipway:kind": "environment",
                "slipway:services": {name: {"port": 8080} for name in images},
                "slipway:images": dict(images),
                "slipway:environment": {"mayNameTags": tags},
                "slipway:signers": self.signers.entries(),
            },
        )

    def begin(self, *stacks: str, signers: bool = True) -> None:
        platform = TeamPlatform(self.folder, signers=self.signers.files if signers else {})
        bootstrap.begin(Workspace(platform, _no_engine, {}), stacks, self.said.append)

    def _write(self, stack: str, config: Mapping[str, object]) -> None:
        common = {
            "slipway:cluster": {"context": "ours", "identifier": "ours"},
            "slipway:registry": {"push": self._registry, "pull": "registry.example.com"},
        }
        (self.folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": {**common, **config}}))


def _no_engine(name: str) -> PulumiCommand:
    raise AssertionError(name)


@pytest.fixture
def platform(tmp_path: Path, project: str) -> Platform:
    return Platform(tmp_path, project)


@pytest.fixture
def statements(store: ReleaseStore, platform: Platform) -> Callable[[], list[tuple[Release, Piece]]]:
    """The bootstrap statements there are; the store trusts others, so only what they say is looked at."""

    def read() -> list[tuple[Release, Piece]]:
        releases = [release for digest in set(store.tags().values()) if (release := store.get(digest))]
        return [(release, piece) for release in releases for piece in store.proof(REPOSITORY, release.digest)]

    return read


@pytest.fixture
def image(push_image: Callable[[str, str], str]) -> str:
    return push_image("hello", "of this checkout")


Statements = Callable[[], list[tuple[Release, Piece]]]


@dataclass(frozen=True)
class Found(TeamPlatform):
    """A local platform that is there already, as the commands see it."""

    def find(self) -> Found:
        return self

    prepare = find


@pytest.mark.parametrize("is_local", [True, False])
def test_up_begins_what_it_brought_on_the_local_platform_only(
    platform: Platform,
    statements: Statements,
    image: str,
    is_local: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)  # whatever engine is on PATH here
    platform.runs("test", {"hello": f"hello:dev@{image}"})
    found, engine = Found(platform.folder, signers=platform.signers.files), FakeEngine()
    seams = Seams(commands=lambda _: engine, local_platform=lambda: found, environ={})
    assert main(["up", "--yes", *([] if is_local else ["--config-dir", str(platform.folder)])], seams) == 0
    assert engine.asked("up") == ["shared", "test"]
    assert [piece.predicate["stacks"] for _, piece in statements()] == ([["test"]] if is_local else [])


def test_all_environments_with_the_same_images_begin_with_one_release(
    platform: Platform, statements: Statements, image: str
) -> None:
    head = run(["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]).strip()
    for stack in ("test", "prod"):
        platform.runs(stack, {"hello": f"hello:sha-{head[:12]}@{image}"})
    platform.begin("shared", "test", "prod")
    ((release, piece),) = statements()
    assert release == Release(head, {"hello": image})
    assert (piece.kind, piece.predicate["stacks"]) == (Kind.BOOTSTRAP, ["test", "prod"])
    assert "neither scanned nor verified" in piece.predicate["note"]
    assert platform.said == [
        f"test, prod began with release bootstrap-{release.digest[7:19]}, signed as a bootstrap and no more"
    ]


@pytest.mark.parametrize(
    ("tag", "commit"),
    [("dirty-{}", "dirty-{}"), ("dev", "dev"), ("sha-ffffffffffff", "dev"), ("v1.0.0", "dev")],
)
def test_the_commit_is_what_the_tag_says_as_far_as_it_is_known(
    platform: Platform, statements: Statements, image: str, tag: str, commit: str
) -> None:
    head = run(["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]).strip()
    platform.runs("test", {"hello": f"hello:{tag.format(head[:12])}@{image}"})
    platform.begin("test")
    assert [release.commit for release, _ in statements()] == [commit.format(head)]


def test_an_environment_begins_once_and_a_later_one_joins(
    platform: Platform, statements: Statements, image: str, push_image: Callable[[str, str], str]
) -> None:
    platform.runs("test", {"hello": f"hello:dev@{image}"})
    platform.begin("test")
    platform.begin("test")
    assert len(statements()) == 1
    platform.runs("test", {"hello": f"hello:dev@{push_image('hello', 'by hand')}"})
    platform.runs("prod", {"hello": f"hello:dev@{image}"})
    platform.begin("test", "prod")
    assert [piece.predicate["stacks"] for _, piece in statements()] == [["test"], ["prod"]]
    assert {release.services["hello"] for release, _ in statements()} == {image}


def test_what_was_built_or_has_no_digest_or_no_signer_is_left_alone(
    platform: Platform, statements: Statements, store: ReleaseStore, image: str
) -> None:
    built = Release("f" * 40, {"hello": image})
    store.push(built, ["sha-ffffffffffff"])
    platform.runs("test", {"hello": "hello:v1"}, tags=True)
    platform.runs("stage", built.images("sha-ffffffffffff"))
    platform.begin("test", "stage")
    platform.runs("prod", {"hello": f"hello:dev@{image}"})
    platform.begin("prod", signers=False)
    platform.begin("shared")
    assert statements() == []
    assert list(store.tags()) == ["sha-ffffffffffff"]


def test_what_was_deployed_there_did_not_begin_it(
    platform: Platform, statements: Statements, store: ReleaseStore, image: str, signers: dict[str, KeySigner]
) -> None:
    platform.runs("test", {"hello": f"hello:dev@{image}"})
    platform.begin("test")
    ((release, _),) = statements()
    store.attach(REPOSITORY, release.digest, Kind.DEPLOYMENT, {"stack": "prod"}, signers["verifier"])
    platform.runs("prod", {"hello": f"hello:dev@{image}"})
    platform.begin("prod")
    assert [piece.kind for _, piece in statements()] == [Kind.BOOTSTRAP, Kind.DEPLOYMENT]
