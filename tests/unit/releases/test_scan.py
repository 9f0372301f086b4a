"""What scanners say, and what follows from it by threshold and exceptions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from components.delivery_model import ScanException, ScanRules
from delivery.releases.scan import Finding, Look, judge, unscanned, worst
from delivery.releases.scanners import Parts, read_grype, read_pip_audit

TODAY = date(2026, 11, 25)
HIGH = Finding("CVE-1", "starlette", "1.0", "high", fixed="1.1")
LOW = Finding("CVE-2", "zlib1g", "1.2", "low")


def look(*findings: Finding) -> Look:
    return Look(findings, {"grype": "1"}, {"built": "2026-11-25"})


def exception(until: str, identifier: str = "CVE-1") -> ScanException:
    return ScanException(
        id=identifier, until=date.fromisoformat(until), reason="not reached from outside", author="alice"
    )


@pytest.mark.parametrize(
    ("threshold", "severity", "result"),
    [
        ("high", "critical", "fail"),
        ("high", "high", "fail"),
        ("high", "medium", "pass"),
        ("critical", "high", "pass"),
        ("negligible", "negligible", "fail"),
        ("high", "unknown", "fail"),
        ("critical", "unknown", "pass"),
    ],
)
def test_the_threshold_decides_and_what_nobody_rated_counts_as_high(threshold: Any, severity: str, result: str) -> None:
    found = Finding("CVE-1", "starlette", "1.0", severity)
    assert judge(look(found), ScanRules(failOn=threshold), TODAY).result == result


def test_an_exception_holds_through_its_last_day_and_no_longer() -> None:
    rules = ScanRules(exceptions=(exception("2026-11-25"),))
    accepted = judge(look(HIGH, LOW), rules, TODAY)
    assert accepted.result == "pass"
    assert accepted.accepted == ((HIGH, rules.exceptions[0]),)
    ended = judge(look(HIGH, LOW), rules, date(2026, 11, 26))
    assert (ended.result, ended.failing, ended.expired) == ("fail", (HIGH,), rules.exceptions)
    assert "ended on 2026-11-25" in " ".join(ended.lines())


def test_an_exception_is_for_one_vulnerability_by_any_of_its_names() -> None:
    aliased = Finding("GHSA-1", "starlette", "1.0", "high", aliases=frozenset({"CVE-1"}))
    other = Finding("CVE-3", "starlette", "1.0", "high")
    judged = judge(look(aliased, other), ScanRules(exceptions=(exception("2027-01-01"),)), TODAY)
    assert judged.failing == (other,)


def test_the_proof_says_everything_that_was_found_and_what_was_accepted() -> None:
    judged = judge(look(LOW, HIGH), ScanRules(exceptions=(exception("2027-01-01"),)), TODAY)
    predicate = judged.predicate(datetime(2026, 11, 25, tzinfo=UTC))
    assert predicate == {
        "at": "2026-11-25T00:00:00+00:00",
        "result": "pass",
        "threshold": "high",
        "findings": [
            {"id": "CVE-1", "package": "starlette", "version": "1.0", "severity": "high", "fixed": "1.1"},
            {"id": "CVE-2", "package": "zlib1g", "version": "1.2", "severity": "low"},
        ],
        "exceptions": [
            {
                "id": "CVE-1",
                "found": "CVE-1",
                "until": "2027-01-01",
                "reason": "not reached from outside",
                "author": "alice",
            }
        ],
        "scanner": {"grype": "1"},
        "database": {"built": "2026-11-25"},
    }


def test_what_nobody_looked_at_is_neither_a_pass_nor_a_failure() -> None:
    predicate = unscanned("there is no database", ScanRules()).predicate(datetime(2026, 11, 25, tzinfo=UTC))
    assert (predicate["result"], predicate["why"], predicate["database"]) == ("unscanned", "there is no database", None)


def test_what_two_scanners_know_counts_once_as_the_one_has_it_who_rated_it() -> None:
    rated = Finding("GHSA-1", "starlette", "1.0", "low", aliases=frozenset({"CVE-1"}))
    unrated = Finding("PYSEC-1", "starlette", "1.0", aliases=frozenset({"CVE-1"}))
    judged = judge(look(unrated, rated), ScanRules(), TODAY)
    assert (judged.result, judged.findings) == ("pass", (rated,))


def test_two_of_one_package_are_two() -> None:
    other = Finding("CVE-9", "starlette", "1.0")
    assert set(judge(look(HIGH, other), ScanRules(), TODAY).findings) == {HIGH, other}


def report(**database: Any) -> dict[str, Any]:
    status = {"schemaVersion": "v6.1.10", "built": "2026-11-24T00:00:00Z", "path": "/somewhere", "valid": True}
    match = {
        "vulnerability": {"id": "CVE-1", "severity": "Unknown", "fix": {"state": "fixed", "versions": ["1.1"]}},
        "relatedVulnerabilities": [{"id": "CVE-1", "severity": "Critical"}, {"id": "GHSA-1", "severity": "Low"}],
        "artifact": {"name": "starlette", "version": "1.0"},
    }
    descriptor = {"version": "0.121.2", "db": {"status": status, "providers": {"nvd": {}}} | database}
    return {"matches": [match], "descriptor": descriptor}


def test_grypes_report_is_read_with_the_severity_that_others_give_where_its_source_gives_none() -> None:
    found = read_grype(report(), "1.57.0")
    assert found.findings == (Finding("CVE-1", "starlette", "1.0", "critical", "1.1", frozenset({"CVE-1", "GHSA-1"})),)
    assert found.scanners == {"syft": "1.57.0", "grype": "0.121.2"}
    assert found.database == {"built": "2026-11-24T00:00:00Z", "schema": "v6.1.10", "sources": ["nvd"]}


@pytest.mark.parametrize(
    "database", [{"providers": {}}, {"status": {"valid": False, "error": "too old"}}, {"status": {"error": "broken"}}]
)
def test_a_report_made_without_knowledge_is_none(database: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="its database"):
        read_grype(report(**database), "1.57.0")


def test_pip_audits_report_is_read() -> None:
    vulnerability = {"id": "PYSEC-1", "fix_versions": ["3.0"], "aliases": ["CVE-1"], "description": "…"}
    dependencies = [
        {"name": "h11", "version": "2.0", "vulns": [vulnerability]},
        {"name": "idna", "version": "3", "vulns": []},
    ]
    assert read_pip_audit({"dependencies": dependencies}) == [
        Finding("PYSEC-1", "h11", "2.0", fixed="3.0", aliases=frozenset({"CVE-1"}))
    ]


def test_a_package_that_pip_audit_left_out_makes_its_report_none() -> None:
    dependencies = [{"name": "idna", "version": "3", "vulns": []}, {"name": "h11", "skip_reason": "not found"}]
    with pytest.raises(ValueError, match="1 of 2 packages were left out, such as h11: not found"):
        read_pip_audit({"dependencies": dependencies})


@pytest.mark.parametrize(
    ("urls", "why"),
    [
        (["pkg:deb/debian/zlib1g@1?arch=amd64&distro=debian-12", "pkg:pypi/h11@1"], ""),
        (["pkg:pypi/h11@1"], ""),
        (["pkg:deb/zlib1g@1?arch=amd64", "pkg:pypi/h11@1"], "of which distribution"),
        (["pkg:oci/hello@sha256:1"], "no package"),
        ([], "no package"),
    ],
)
def test_parts_in_which_nothing_would_be_found_whatever_is_wrong_are_noticed(urls: list[str], why: str) -> None:
    packages = [{"externalRefs": [{"referenceType": "purl", "referenceLocator": url}]} for url in urls]
    blind = Parts({"packages": [*packages, {"name": "hello"}]}).is_blind
    assert why in blind if why else blind == ""


def test_of_several_severities_the_worst_counts() -> None:
    assert worst(["Low", "Critical", "Unknown"]) == "critical"
    assert worst(["Unknown", ""]) == worst([]) == "unknown"
