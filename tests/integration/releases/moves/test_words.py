"""Sign-offs, holds and freezes against the real registry and git, and what promotions make of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.proof import Kind, Piece
from tests.integration.releases.moves.conftest import Team
from tests.integration.releases.moves.team import die

A, B = ("sha-" + letter * 12 for letter in "ab")
GATES = [
    "built",
    "scanned",
    {"verified": {"stack": "test", "suite": "regression"}},
    {"verified": {"stack": "stage", "suite": "smoke"}},
    {"soaked": {"stack": "stage", "minutes": 10, "requests": 1000}},
    "signedOff",
    {"close": {"to": "stage"}},
]


@pytest.fixture
def alice(team: Team, keys: Path) -> Team:
    """The team, with alice, an approver, at the keyboard."""
    team.environ |= {"SLIPWAY_SIGNING_KEY": str(keys / "alice"), "SLIPWAY_IDENTITY": "alice"}
    return team


def with_key(team: Team, keys: Path, name: str) -> None:
    team.environ |= {"SLIPWAY_SIGNING_KEY": str(keys / name), "SLIPWAY_IDENTITY": name}


def sign_offs(team: Team, release: Release) -> list[Piece]:
    return [piece for piece in team.store.proof(REPOSITORY, release.digest) if piece.kind is Kind.SIGN_OFF]


def image(team: Team, release: str) -> str:
    return team.releases[release].services["hello"]


def provenance(team: Team, release: str, by: str = "ci") -> Piece:
    said = {"buildDefinition": {"externalParameters": {"commit": team.releases[release].commit}}}
    return team.store.attach("hello", image(team, release), Kind.PROVENANCE, said, team.signers[by])


class TestSignOff:
    def test_it_is_attached_to_the_release_with_note_and_stack(self, alice: Team) -> None:
        done = alice.run("sign-off", "prod", B, "--note", "orders tried, ticket 214")
        assert done.code == 0, done.said
        assert f"{B} may enter prod, says alice." in done.out
        (piece,) = sign_offs(alice, alice.releases["B"])
        assert (piece.signed_by, piece.fault) == ("alice", None)
        assert (piece.predicate["stack"], piece.predicate["note"]) == ("prod", "orders tried, ticket 214")

    def test_without_a_release_it_is_what_the_last_gate_asks_about_runs(self, alice: Team) -> None:
        alice.edit("prod", gates=GATES)
        facts = alice.run("sign-off", "prod", "--json").json
        assert (facts["name"], facts["signed_by"]) == (A, "alice")
        assert facts["release"] == alice.releases["A"].digest
        gates = {gate["gate"]: gate["open"] for gate in facts["gates"]}
        assert gates["signedOff"] is True
        assert gates["soaked (10 min in stage)"] is False

    def test_without_a_release_and_such_a_gate_it_has_to_be_named(self, alice: Team) -> None:
        alice.run("sign-off", "prod").explains(3, "no gate of prod", "slipway sign-off prod RELEASE")

    def test_what_the_stack_before_names_must_be_a_release(self, alice: Team) -> None:
        alice.edit("prod", gates=GATES)
        alice.edit("stage", images={"hello": "hello:x@sha256:" + "0" * 64})
        alice.run("sign-off", "prod").explains(3, "what stage names is no release")

    def test_who_built_it_is_refused_and_signs_nothing(self, team: Team, keys: Path) -> None:
        for stack in ("test", "stage", "prod"):
            signers = team.config(stack)["slipway:signers"]
            team.edit(stack, signers=signers | {"ci": signers["ci"] | {"roles": ["builder", "approver"]}})
        provenance(team, "B")
        with_key(team, keys, "ci")
        team.run("sign-off", "prod", B).explains(4, f"ci built {B}", "another approver")
        assert sign_offs(team, team.releases["B"]) == []
        assert team.run("sign-off", "prod", A).code == 0  # of which they built nothing

    @pytest.mark.parametrize("name", ["verifier", "ci"])
    def test_who_is_no_approver_is_refused_and_signs_nothing(self, team: Team, keys: Path, name: str) -> None:
        with_key(team, keys, name)
        team.run("sign-off", "prod", B).explains(4, name, "approver")
        assert sign_offs(team, team.releases["B"]) == []

    def test_an_approver_of_another_stack_only_is_refused(self, alice: Team) -> None:
        signers = alice.config("prod")["slipway:signers"]
        alice.edit("prod", signers={name: entry for name, entry in signers.items() if name != "alice"})
        alice.run("sign-off", "prod", B).explains(4, "alice is no approver in prod", "slipway:signers")
        assert sign_offs(alice, alice.releases["B"]) == []

    def test_an_unknown_key_is_refused(self, team: Team, keys: Path) -> None:
        with_key(team, keys, "stranger")
        done = team.run("sign-off", "prod", B)
        assert done.code in (3, 4), done.said
        assert sign_offs(team, team.releases["B"]) == []

    def test_a_release_that_is_not_there(self, alice: Team) -> None:
        alice.run("sign-off", "prod", "v9.9.9").explains(3, "'v9.9.9'", A)

    def test_for_another_stack_it_opens_nothing(self, alice: Team) -> None:
        alice.edit("prod", gates=["signedOff"])
        alice.run("sign-off", "stage", B)
        done = alice.run("promote", B, "prod", "--yes")
        assert done.code == 4
        assert "nobody signed it off for prod" in done.err


class TestTheWholeWay:
    """Into prod through every gate there is; without any one piece it stays out."""

    @pytest.fixture(autouse=True)
    def _all_gates(self, team: Team) -> None:
        team.edit("prod", gates=GATES)

    def prove(self, team: Team, keys: Path, *, but: str = "") -> None:
        """Attach all that the gates ask for, but one."""
        release, said = team.releases["B"], {"stack": "stage", "result": "pass"}
        soak = {
            **said,
            "configuration": team.configuration("stage"),
            "since": "2026-01-01T00:00:00+00:00",
            "until": "2026-01-01T00:10:00+00:00",
            "requests": 1000,
            "alerts": [],
        }
        scan = {"result": "pass", "threshold": "high", "findings": [], "exceptions": []}
        scan["at"] = datetime.now(UTC).isoformat()
        if but != "built":
            provenance(team, "B")
        if but != "scanned":
            team.store.attach("hello", image(team, "B"), Kind.SCAN, scan, team.signers["ci"])
        if but != "verified (regression in test)":
            team.passes("B", "test", "regression")
        if but != "verified (smoke in stage)":
            team.passes("B", "stage", "smoke")
        if but != "soaked (10 min in stage)":
            team.store.attach(REPOSITORY, release.digest, Kind.SOAK, soak, team.signers["verifier"])
        if but == "close to stage":
            team.edit("prod", services={"hello": {"port": 9090}})
        if but != "signedOff":
            with_key(team, keys, "alice")
            assert team.run("sign-off", "prod", B).code == 0
        with_key(team, keys, "verifier")

    def test_with_everything_it_goes_in(self, team: Team, keys: Path) -> None:
        self.prove(team, keys)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 0, done.said
        assert team.has("prod", "B")

    @pytest.mark.parametrize(
        "gate",
        [
            "built",
            "scanned",
            "verified (regression in test)",
            "verified (smoke in stage)",
            "soaked (10 min in stage)",
            "signedOff",
            "close to stage",
        ],
    )
    def test_without_one_of_them_it_stays_out(self, team: Team, keys: Path, gate: str) -> None:
        self.prove(team, keys, but=gate)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 4, done.said
        closed = [line for line in done.out.splitlines() if line.startswith("CLOSED")]
        assert [line.removeprefix("CLOSED").strip().startswith(gate) for line in closed] == [True]
        assert f"{gate}: " in done.err
        assert digest_in(team, "prod") == image(team, "A")

    def test_a_fail_afterwards_takes_it_back(self, team: Team, keys: Path) -> None:
        self.prove(team, keys)
        said = {"stack": "test", "suite": "regression", "result": "fail", "configuration": team.configuration("test")}
        team.store.attach(REPOSITORY, team.releases["B"].digest, Kind.VERIFICATION, said, team.signers["verifier"])
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 4
        assert "verified (regression in test): it failed" in done.err

    def test_a_change_of_stage_afterwards_makes_its_proof_that_of_another_configuration(
        self, team: Team, keys: Path
    ) -> None:
        self.prove(team, keys)
        team.edit("stage", services={"hello": {"port": 8080, "replicas": 3}})
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 4
        assert "another configuration than stage has now" in done.err


def digest_in(team: Team, stack: str) -> str:
    return team.images(stack)["hello"].partition("@")[2]


class TestHoldOfARelease:
    def test_it_is_refused_by_promotion_until_unhold(self, team: Team) -> None:
        done = team.run("hold", "prod", B, "--reason", "loses orders")
        assert done.code == 0, done.said
        (held,) = team.config("prod")["slipway:holds"]
        assert (held["digest"], held["author"]) == (image(team, "B"), "maria")
        team.run("promote", B, "prod", "--yes", "--override", "--reason", "r").explains(4, "loses orders (maria)")
        assert team.run("promote", B, "test").code == 0
        assert team.run("unhold", "prod", B).code == 0
        assert team.run("promote", B, "prod", "--yes").code == 0

    def test_the_digest_of_the_release_is_as_good_as_its_name(self, team: Team) -> None:
        facts = team.run("hold", "prod", team.releases["B"].digest, "--reason", "r", "--json").json
        assert facts["held"] == [image(team, "B")]

    def test_an_image_that_nothing_names_is_held_by_its_whole_digest(self, team: Team) -> None:
        digest = "sha256:" + "7" * 64
        assert team.run("hold", "prod", digest, "--reason", "r", "--json").json["held"] == [digest]

    def test_of_a_release_what_runs_already_is_not_what_is_wrong(self, team: Team) -> None:
        mixed = Release("d" * 40, {"hello": image(team, "A"), "mail": image(team, "B")})
        team.store.push(mixed, ["sha-" + "d" * 12])
        facts = team.run("hold", "prod", "sha-" + "d" * 12, "--reason", "r", "--json").json
        assert facts["held"] == [image(team, "B")]
        assert facts["running"] == []

    def test_a_release_that_runs_whole_is_held_whole(self, team: Team) -> None:
        facts = team.run("hold", "prod", A, "--reason", "r", "--json").json
        assert (facts["held"], facts["running"]) == ([image(team, "A")], ["hello"])

    def test_what_a_service_runs_by_a_bare_tag_is_held_by_the_digest_it_means(self, team: Team) -> None:
        manifest = team.registry.manifest("hello", image(team, "B"))
        team.registry.put_manifest("hello", "dev", manifest, "application/vnd.oci.image.manifest.v1+json")
        team.edit("test", images={"hello": "hello:dev"})
        assert team.run("hold", "test", "hello", "--reason", "r", "--json").json["held"] == [image(team, "B")]

    def test_a_name_that_is_nothing(self, team: Team) -> None:
        team.run("hold", "prod", "v9.9.9", "--reason", "r").explains(3, "'v9.9.9'", A)


def test_what_was_cut_short_is_brought_to_its_end_before_anything_is_said(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("adapters.git.Repository.commit", lambda *_, **__: die())
        team.run_until_killed("promote", B, "prod", "--yes")
    before = team.path("prod").read_bytes()
    for args in (["hold", "prod", B, "--reason", "r"], ["freeze", "prod", "--until", "2h", "--reason", "r"]):
        team.run(*args).explains(4, "was cut short", "slipway rollback prod --recover")
    assert team.path("prod").read_bytes() == before
    assert team.run("rollback", "prod", "--recover").code == 0
    assert team.run("hold", "prod", B, "--reason", "r").code == 0


class TestFreeze:
    def test_promotion_is_refused_and_repair_is_not(self, team: Team) -> None:
        assert team.run("promote", A, "prod", "--yes").code == 0
        assert team.run("promote", B, "prod", "--yes").code == 0
        team.run("freeze", "prod", "--until", "2h", "--reason", "database moves")
        c = "sha-" + "c" * 12
        team.run("promote", c, "prod", "--yes", "--override", "--reason", "r").explains(4, "database moves (maria)")
        team.edit("prod", images=team.releases["C"].images(c))
        team.run("up", "prod", "--yes").explains(4, "database moves (maria)", "something new: slipway:images")

        assert team.run("hold", "prod", c, "--reason", "loses orders").code == 0
        team.revert("HEAD~1")
        done = team.run("up", "prod", "--yes")
        assert done.code == 0, done.said
        assert team.has("prod", "B")
        done = team.run("rollback", "prod", "--to", A, "--reason", "loses orders", "--yes", "--override")
        assert done.code == 0, done.said
        assert team.has("prod", "A")
        assert team.config("prod")["slipway:freeze"]["reason"] == "database moves"
