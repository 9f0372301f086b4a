"""Each gate opens because of what it asks for, and shuts because of what is missing; proof is really signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from components.reading import read_mapping
from components.settings import EnvironmentSettings
from delivery.releases import artifact, proof
from delivery.releases.artifact import MANIFEST_TYPE, Release
from delivery.releases.gates import Verdict, configuration_hash, judge
from delivery.releases.proof import Kind, Piece, Tag
from delivery.releases.signing import KeySigner, Trust

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HELLO, OTHER = "sha256:" + "1a" * 32, "sha256:" + "2b" * 32
RELEASE = Release("c" * 40, {"hello": HELLO})
DIRTY = Release("dirty-" + "c" * 40, {"hello": HELLO})
ROLES = {
    "ci": ("builder",),
    "robot": ("verifier",),
    "alice": ("approver",),
    "bob": ("builder", "approver"),
}
STAGE_NOW, STAGE_BEFORE = "0123456789ab", "ba9876543210"

SMOKE = {"stack": "stage", "suite": "smoke", "result": "pass", "configuration": STAGE_NOW}
SOAK = {
    "stack": "stage",
    "result": "pass",
    "configuration": STAGE_NOW,
    "since": "2026-11-25T10:00:00+00:00",
    "until": "2026-11-25T10:30:00+00:00",
    "requests": 1000,
    "alerts": [],
}
SCAN = {"result": "pass", "threshold": "high", "findings": [], "exceptions": []}


@dataclass
class Office:
    """Signs proof with keys of its own, as a registry would hand it out and `slipway:signers` judges it."""

    signers: dict[str, KeySigner]
    trust: Trust
    pieces: list[Piece] = field(default_factory=list)

    def say(
        self,
        kind: Kind,
        by: str = "robot",
        *,
        subject: str = RELEASE.digest,
        age: timedelta = timedelta(hours=1),
        signed_for: str | None = None,
        spoil: Callable[[bytes], bytes] = lambda bundle: bundle,
        **predicate: Any,
    ) -> Piece:
        """A piece of proof. `signed_for` is the subject that was signed, if another; `spoil` changes the bundle."""
        said = {"at": (NOW - age).isoformat(), **predicate}
        bundle = spoil(self.signers[by].sign(proof.statement("x", signed_for or subject, kind, said)))
        descriptor = {"mediaType": MANIFEST_TYPE, "digest": subject, "size": 1}
        manifest = proof.manifest(kind, descriptor, bundle, {})
        tag = str(Tag.of(subject, kind, artifact.digest_of(manifest)))
        piece = proof.judge(subject, tag, manifest, bundle, self.trust)
        self.pieces.append(piece)
        return piece

    def everything(self) -> None:
        """What a release has that may enter prod."""
        self.say(Kind.PROVENANCE, "ci", subject=HELLO)
        self.say(Kind.SCAN, "ci", subject=HELLO, **SCAN)
        self.say(Kind.VERIFICATION, stack="test", suite="regression", result="pass", configuration=STAGE_NOW)
        self.say(Kind.VERIFICATION, **SMOKE)
        self.say(Kind.SOAK, **SOAK)
        self.say(Kind.SIGN_OFF, "alice", stack="prod")


@dataclass(frozen=True)
class _Entry:
    roles: tuple[str, ...]
    key: str
    identity: None = None


@pytest.fixture
def office() -> Office:
    def signer(name: str, role: str) -> KeySigner:
        return KeySigner(name, role, ec.generate_private_key(ec.SECP256R1()))

    signers = {name: signer(name, roles[0]) for name, roles in ROLES.items()}
    known = {name: _Entry(roles, signers[name].known_by) for name, roles in ROLES.items()}
    stranger = signer("mallory", "builder")
    return Office(signers | {"mallory": stranger}, Trust(known))


def prod(*gates: Any, stack: str = "prod", **values: Any) -> EnvironmentSettings:
    config = {
        "kind": "environment",
        "cluster": {"context": "c", "identifier": "c"},
        "registry": {"push": "r:1", "pull": "r"},
        "services": {"hello": {}},
        "images": {"hello": f"hello:v1@{HELLO}"},
        "gates": list(gates),
    }
    named = {f"slipway:{key}": value for key, value in (config | values).items()}
    settings = read_mapping(named, stack=stack)
    assert isinstance(settings, EnvironmentSettings)
    return settings


def verdict(
    office: Office,
    gate: Any,
    *,
    release: Release = RELEASE,
    settings: Mapping[str, Any] | None = None,
    differences: list[str] | None = None,
    now: datetime = NOW,
) -> Verdict:
    (found,) = judge(
        prod(gate, **(settings or {})),
        release,
        office.pieces,
        lambda _: STAGE_NOW,
        lambda _: differences or [],
        now,
    )
    assert "\n" not in found.why
    return found


def opens(found: Verdict, *words: str) -> None:
    assert found.open, found
    for word in words:
        assert word in found.why, found


def is_shut(found: Verdict, *words: str) -> None:
    assert not found.open, found
    for word in words:
        assert word in found.why, found


VERIFIED = {"verified": {"stack": "stage", "suite": "smoke"}}
SOAKED = {"soaked": {"stack": "stage", "minutes": 10, "requests": 1000}}
EVERY_GATE = [
    "built",
    "scanned",
    {"verified": {"stack": "test", "suite": "regression"}},
    VERIFIED,
    SOAKED,
    "signedOff",
    {"close": {"to": "stage"}},
]


class TestBuilt:
    def test_provenance_by_a_builder_opens_it(self, office: Office) -> None:
        office.say(Kind.PROVENANCE, "ci", subject=HELLO)
        opens(verdict(office, "built"), "by ci")

    def test_without_provenance_it_is_shut_and_says_what_opens_it(self, office: Office) -> None:
        is_shut(verdict(office, "built"), "hello", "slipway release build")

    def test_each_image_needs_its_own(self, office: Office) -> None:
        office.say(Kind.PROVENANCE, "ci", subject=HELLO)
        both = Release("c" * 40, {"hello": HELLO, "other": OTHER})
        is_shut(verdict(office, "built", release=both), "other")

    def test_what_is_in_no_commit_enters_only_where_that_is_accepted(self, office: Office) -> None:
        office.say(Kind.PROVENANCE, "ci", subject=HELLO)
        is_shut(verdict(office, "built", release=DIRTY), "in no commit")
        opens(verdict(office, {"built": {"acceptDirty": True}}, release=DIRTY), "in no commit")

    def test_a_release_that_calls_itself_clean_is_not_believed_over_its_images(self, office: Office) -> None:
        for commit, is_open in (("dirty-" + "c" * 40, False), ("c" * 40, True)):
            said = {"buildDefinition": {"externalParameters": {"commit": commit}}}
            office.say(Kind.PROVENANCE, "ci", subject=HELLO, **said)
            assert verdict(office, "built").open is is_open
            opens(verdict(office, {"built": {"acceptDirty": True}}))

    def test_what_a_fresh_platform_began_with_was_not_built(self, office: Office) -> None:
        office.say(Kind.BOOTSTRAP, "ci", note="first images")
        is_shut(verdict(office, "built"), "a fresh platform began with it")


class TestScanned:
    def test_a_scan_that_passed_opens_it(self, office: Office) -> None:
        office.say(Kind.SCAN, "ci", subject=HELLO, **SCAN)
        opens(verdict(office, "scanned"), "high")

    def test_without_a_scan_it_is_shut(self, office: Office) -> None:
        is_shut(verdict(office, "scanned"), "was not scanned", "slipway release build")

    def test_the_newest_scan_counts(self, office: Office) -> None:
        office.say(Kind.SCAN, "ci", subject=HELLO, **SCAN, age=timedelta(hours=2))
        office.say(Kind.SCAN, "ci", subject=HELLO, **SCAN | {"result": "fail"}, age=timedelta(hours=1))
        is_shut(verdict(office, "scanned"), "did not pass")
        office.say(Kind.SCAN, "ci", subject=HELLO, **SCAN, age=timedelta(minutes=1))
        opens(verdict(office, "scanned"))

    def test_a_scan_that_could_not_look_counts_only_where_that_is_accepted(self, office: Office) -> None:
        office.say(Kind.SCAN, "ci", subject=HELLO, result="unscanned", why="there is no database")
        is_shut(verdict(office, "scanned"), "there is no database")
        opens(verdict(office, {"scanned": {"acceptUnscanned": True}}), "hello could not be scanned")

    def test_a_scan_by_laxer_rules_does_not_count(self, office: Office) -> None:
        office.say(Kind.SCAN, "ci", subject=HELLO, **SCAN)
        is_shut(verdict(office, "scanned", settings={"scan": {"failOn": "medium"}}), "medium counts")
        opens(verdict(office, "scanned", settings={"scan": {"failOn": "critical"}}))

    def test_a_pass_by_an_exception_ends_with_the_exception(self, office: Office) -> None:
        exception = {"id": "CVE-2026-1", "until": "2026-11-25", "reason": "r", "author": "a"}
        office.say(Kind.SCAN, "ci", subject=HELLO, **SCAN | {"exceptions": [exception]})
        opens(verdict(office, "scanned"))
        is_shut(verdict(office, "scanned", now=NOW + timedelta(days=1)), "CVE-2026-1", "2026-11-25")


class TestVerified:
    def test_a_pass_of_this_release_in_the_present_configuration_opens_it(self, office: Office) -> None:
        office.say(Kind.VERIFICATION, **SMOKE)
        opens(verdict(office, VERIFIED), "robot")

    def test_without_a_result_it_is_shut(self, office: Office) -> None:
        is_shut(verdict(office, VERIFIED), "no result of stage", "slipway verify stage smoke")

    @pytest.mark.parametrize(
        "other", [{"suite": "regression"}, {"stack": "test"}, {"result": "fail"}, {"configuration": STAGE_BEFORE}]
    )
    def test_another_suite_stack_result_or_configuration_is_not_it(self, office: Office, other: dict[str, str]) -> None:
        office.say(Kind.VERIFICATION, **SMOKE | other)
        is_shut(verdict(office, VERIFIED))

    def test_a_later_fail_takes_the_pass_back_until_it_passes_again(self, office: Office) -> None:
        office.say(Kind.VERIFICATION, **SMOKE, age=timedelta(hours=3))
        office.say(Kind.VERIFICATION, **SMOKE | {"result": "fail"}, age=timedelta(hours=2))
        is_shut(verdict(office, VERIFIED), "it failed on 2026-11-25 at 10:00 UTC")
        office.say(Kind.VERIFICATION, **SMOKE, age=timedelta(hours=1))
        opens(verdict(office, VERIFIED))

    def test_a_fail_in_another_configuration_takes_it_back_too(self, office: Office) -> None:
        office.say(Kind.VERIFICATION, **SMOKE, age=timedelta(hours=3))
        office.say(
            Kind.VERIFICATION, **SMOKE | {"result": "fail", "configuration": STAGE_BEFORE}, age=timedelta(hours=2)
        )
        is_shut(verdict(office, VERIFIED), "it failed")

    def test_a_fail_that_somebody_unknown_signed_takes_nothing_back(self, office: Office) -> None:
        office.say(Kind.VERIFICATION, **SMOKE, age=timedelta(hours=3))
        office.say(Kind.VERIFICATION, "mallory", **SMOKE | {"result": "fail"}, age=timedelta(hours=2))
        opens(verdict(office, VERIFIED))

    def test_a_pass_that_was_revoked_does_not_count(self, office: Office) -> None:
        passed = office.say(Kind.VERIFICATION, **SMOKE)
        office.say(Kind.REVOCATION, revokes=passed.digest)
        is_shut(verdict(office, VERIFIED))

    @pytest.mark.parametrize("by", ["mallory", "ci"])
    def test_a_revocation_by_who_has_no_say_revokes_nothing(self, office: Office, by: str) -> None:
        passed = office.say(Kind.VERIFICATION, **SMOKE)
        office.say(Kind.REVOCATION, by, revokes=passed.digest)
        opens(verdict(office, VERIFIED))

    def test_a_persons_own_test_is_a_suite(self, office: Office) -> None:
        manual = {"verified": {"stack": "stage", "suite": "manual"}}
        is_shut(verdict(office, manual), "slipway verify stage --manual")
        office.say(Kind.VERIFICATION, "alice", **SMOKE | {"suite": "manual"})
        opens(verdict(office, manual), "alice")


class TestSoaked:
    def test_long_enough_and_used_enough_opens_it(self, office: Office) -> None:
        office.say(Kind.SOAK, **SOAK)
        opens(verdict(office, SOAKED), "30 minutes, 1000 requests, no alert")

    def test_without_a_soak_it_is_shut(self, office: Office) -> None:
        is_shut(verdict(office, SOAKED), "slipway verify stage soak")

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            ({"until": "2026-11-25T10:09:00+00:00"}, "9 of 10 minutes"),
            ({"requests": 999}, "999 of 1000 requests"),
            ({"alerts": ["HelloErrors"]}, "HelloErrors"),
            ({"result": "fail"}, "it failed"),
            ({"configuration": STAGE_BEFORE}, "another configuration"),
            ({"stack": "test"}, "no result of stage"),
            ({"since": "yesterday"}, "too little"),
        ],
    )
    def test_too_short_unused_alarmed_failed_or_elsewhere_is_shut(
        self, office: Office, other: dict[str, Any], said: str
    ) -> None:
        office.say(Kind.SOAK, **SOAK | other)
        is_shut(verdict(office, SOAKED), said)

    def test_one_that_nobody_watched_counts_only_where_the_gate_accepts_that(self, office: Office) -> None:
        office.say(Kind.SOAK, **SOAK | {"alerts": "unwatched"})
        is_shut(verdict(office, SOAKED), "nobody watched stage for alerts", "acceptUnwatched")
        accepting = {"soaked": SOAKED["soaked"] | {"acceptUnwatched": True}}
        opens(verdict(office, accepting), "nobody watched for alerts, which is accepted here")


class TestSignedOff:
    def test_an_approvers_word_for_this_stack_opens_it(self, office: Office) -> None:
        office.say(Kind.PROVENANCE, "ci", subject=HELLO)
        office.say(Kind.SIGN_OFF, "alice", stack="prod")
        opens(verdict(office, "signedOff"), "by alice")

    def test_without_one_it_is_shut(self, office: Office) -> None:
        is_shut(verdict(office, "signedOff"), "nobody signed it off for prod", "slipway sign-off prod")

    def test_one_for_another_stack_is_not_it(self, office: Office) -> None:
        office.say(Kind.SIGN_OFF, "alice", stack="stage")
        is_shut(verdict(office, "signedOff"), "nobody signed it off for prod")

    def test_who_built_it_has_no_say_and_somebody_else_has(self, office: Office) -> None:
        office.say(Kind.PROVENANCE, "bob", subject=HELLO)
        office.say(Kind.SIGN_OFF, "bob", stack="prod")
        is_shut(verdict(office, "signedOff"), "bob signed it off and built it")
        office.say(Kind.SIGN_OFF, "alice", stack="prod", age=timedelta(hours=2))
        opens(verdict(office, "signedOff"), "by alice")

    def test_who_is_no_approver_has_no_say(self, office: Office) -> None:
        office.say(Kind.SIGN_OFF, "robot", stack="prod")
        is_shut(verdict(office, "signedOff"), "does not count", "approver")


class TestClose:
    def test_no_difference_that_must_not_be_opens_it(self, office: Office) -> None:
        opens(verdict(office, {"close": {"to": "stage"}}), "stage")

    def test_one_shuts_it_and_names_where(self, office: Office) -> None:
        found = verdict(office, {"close": {"to": "stage"}}, differences=["services.hello.env.X"])
        is_shut(found, "services.hello.env.X", "slipway compare stage prod")

    def test_of_many_the_first_are_named(self, office: Office) -> None:
        found = verdict(office, {"close": {"to": "stage"}}, differences=[f"services.hello.env.V{n}" for n in range(9)])
        is_shut(found, "V0", "V2", "and 6 more")


def unsigned(bundle: bytes) -> bytes:
    parsed = json.loads(bundle)
    parsed["dsseEnvelope"]["signatures"] = []
    return json.dumps(parsed).encode()


def forged(bundle: bytes) -> bytes:
    """The same signature under another statement."""
    parsed = json.loads(bundle)
    parsed["dsseEnvelope"]["payload"] = parsed["dsseEnvelope"]["payload"][:-8] + "AAAAfX0="
    return json.dumps(parsed).encode()


@dataclass(frozen=True)
class Opener:
    """What opens a gate: whose word, of what kind, about which subject."""

    gate: Any
    kind: Kind
    by: str
    subject: str
    said: dict[str, Any]


OPENERS = (
    Opener("built", Kind.PROVENANCE, "ci", HELLO, {}),
    Opener("scanned", Kind.SCAN, "ci", HELLO, SCAN),
    Opener(VERIFIED, Kind.VERIFICATION, "robot", RELEASE.digest, SMOKE),
    Opener(SOAKED, Kind.SOAK, "robot", RELEASE.digest, SOAK),
    Opener("signedOff", Kind.SIGN_OFF, "alice", RELEASE.digest, {"stack": "prod"}),
)


@pytest.mark.parametrize("opener", OPENERS, ids=lambda opener: str(opener.kind))
class TestProofThatDoesNotCount:
    """A gate that proof opens stays shut by proof that is forged, stripped, swapped, or of another's hand."""

    def test_the_same_proof_unspoilt_opens_it(self, office: Office, opener: Opener) -> None:
        office.say(opener.kind, opener.by, subject=opener.subject, **opener.said)
        opens(verdict(office, opener.gate))

    def test_an_unknown_key(self, office: Office, opener: Opener) -> None:
        office.say(opener.kind, "mallory", subject=opener.subject, **opener.said)
        is_shut(verdict(office, opener.gate), "does not count", "unknown")

    def test_another_role(self, office: Office, opener: Opener) -> None:
        other = "robot" if opener.by == "alice" else "alice"
        office.say(opener.kind, other, subject=opener.subject, **opener.said)
        is_shut(verdict(office, opener.gate), "does not count", other)

    @pytest.mark.parametrize("spoil", [unsigned, forged])
    def test_no_signature_or_one_under_something_else(
        self, office: Office, opener: Opener, spoil: Callable[[bytes], bytes]
    ) -> None:
        office.say(opener.kind, opener.by, subject=opener.subject, spoil=spoil, **opener.said)
        is_shut(verdict(office, opener.gate))

    def test_what_was_signed_for_another_subject(self, office: Office, opener: Opener) -> None:
        office.say(opener.kind, opener.by, subject=opener.subject, signed_for="sha256:" + "9" * 64, **opener.said)
        is_shut(verdict(office, opener.gate), "another subject")

    def test_what_belongs_to_another_release(self, office: Office, opener: Opener) -> None:
        office.say(opener.kind, opener.by, subject=opener.subject, **opener.said)
        is_shut(verdict(office, opener.gate, release=Release("d" * 40, {"hello": OTHER})))

    def test_what_was_signed_as_another_kind(self, office: Office, opener: Opener) -> None:
        others = set(Kind) - {opener.kind}
        for kind in others:
            office.say(kind, opener.by, subject=opener.subject, **opener.said)
        is_shut(verdict(office, opener.gate))


def test_all_gates_are_judged_in_the_order_of_the_file(office: Office) -> None:
    office.everything()
    verdicts = judge(prod(*EVERY_GATE), RELEASE, office.pieces, lambda _: STAGE_NOW, lambda _: [], NOW)
    assert [(found.gate, found.open) for found in verdicts] == [
        ("built", True),
        ("scanned", True),
        ("verified (regression in test)", True),
        ("verified (smoke in stage)", True),
        ("soaked (10 min in stage)", True),
        ("signedOff", True),
        ("close to stage", True),
    ]


def test_each_piece_opens_its_own_gate_only(office: Office) -> None:
    office.everything()
    pieces = office.pieces
    for missing in range(len(pieces)):
        rest = [piece for index, piece in enumerate(pieces) if index != missing]
        verdicts = judge(prod(*EVERY_GATE), RELEASE, rest, lambda _: STAGE_NOW, lambda _: [], NOW)
        assert [index for index, found in enumerate(verdicts) if not found.open] == [missing]


def test_without_gates_there_is_no_verdict() -> None:
    assert judge(prod(), RELEASE, [], lambda _: "", lambda _: [], NOW) == []


class TestConfigurationHash:
    def test_it_is_twelve_hex_digits(self) -> None:
        found = configuration_hash(prod())
        assert len(found) == 12
        assert int(found, 16) >= 0

    @pytest.mark.parametrize(
        "values",
        [
            {"services": {"hello": {"replicas": 5}}},
            {"services": {"hello": {"env": {"A": "b"}}}},
            {"services": {"hello": {}, "more": {}}, "images": {"hello": f"h@{HELLO}", "more": f"m@{HELLO}"}},
            {"environment": {"protect": True}},
            {"cluster": {"context": "c", "identifier": "another"}},
            {"stack": "stage"},
        ],
    )
    def test_what_shapes_the_environment_changes_it(self, values: dict[str, Any]) -> None:
        assert configuration_hash(prod(**values)) != configuration_hash(prod())

    @pytest.mark.parametrize(
        "values",
        [
            {"images": {"hello": f"hello:v2@{OTHER}"}},
            {"holds": [{"digest": OTHER, "reason": "r", "author": "a"}]},
            {"freeze": {"until": "2027-01-01T00:00:00Z", "reason": "r", "author": "a"}},
            {"gates": ["built"]},
            {"scan": {"failOn": "low"}},
            {"cluster": {"context": "another", "identifier": "c", "kubeconfig": "/elsewhere"}},
        ],
    )
    def test_what_runs_and_who_may_change_it_does_not(self, values: dict[str, Any]) -> None:
        assert configuration_hash(prod(**values)) == configuration_hash(prod())
