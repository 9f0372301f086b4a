"""What a scan of an image found, judged by the rules of a stack; what of it goes into the proof.

A scan that could not look is neither a pass nor a failure: it is `unscanned`, which only counts where a gate says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from components.delivery_model import ScanException, ScanRules

Result = Literal["pass", "fail", "unscanned"]

_SEVERITIES = ("negligible", "low", "medium", "high", "critical")
UNKNOWN = "unknown"
_UNKNOWN_COUNTS_AS = "high"
"""Some sources, such as pip-audit's, say of no vulnerability how bad it is: that is no reason to let it pass."""


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a package. `aliases` are its names elsewhere; `fixed` is the version to update to."""

    id: str
    package: str
    version: str
    severity: str = UNKNOWN
    fixed: str | None = None
    aliases: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All names that it has."""
        return self.aliases | {self.id}

    @property
    def rank(self) -> int:
        """How bad it is, growing."""
        return _rank(self.severity)

    def __str__(self) -> str:
        fix = f", fixed in {self.fixed}" if self.fixed else ", not fixed yet"
        return f"{self.id} ({self.severity}) in {self.package} {self.version}{fix}"

    def to_json(self) -> dict[str, Any]:
        """For the proof."""
        facts = {"id": self.id, "package": self.package, "version": self.version, "severity": self.severity}
        return facts | ({"fixed": self.fixed} if self.fixed else {})


@dataclass(frozen=True)
class Look:
    """What scanners saw. `scanners` maps a program to its version; `database` says how old their knowledge is."""

    findings: tuple[Finding, ...]
    scanners: Mapping[str, str]
    database: Mapping[str, Any]


@dataclass(frozen=True)
class Scan:
    """A look, judged. `why` says why there was none."""

    result: Result
    threshold: str
    findings: tuple[Finding, ...] = ()
    failing: tuple[Finding, ...] = ()
    accepted: tuple[tuple[Finding, ScanException], ...] = ()
    expired: tuple[ScanException, ...] = ()
    scanners: Mapping[str, str] = field(default_factory=dict)
    database: Mapping[str, Any] | None = None
    why: str = ""

    def predicate(self, at: datetime) -> dict[str, Any]:
        """For the proof."""
        exceptions = [
            {"id": rule.id, "found": finding.id, "until": rule.until.isoformat(), "reason": rule.reason}
            | {"author": rule.author}
            for finding, rule in self.accepted
        ]
        return {
            "at": at.isoformat(),
            "result": self.result,
            "threshold": self.threshold,
            "findings": [finding.to_json() for finding in self.findings],
            "exceptions": exceptions,
            "scanner": dict(self.scanners),
            "database": None if self.database is None else dict(self.database),
        } | ({"why": self.why} if self.why else {})

    def lines(self) -> list[str]:
        """For a person: what decided, the worst first."""
        if self.result == "unscanned":
            return [f"not scanned: {self.why}"]
        lines = [str(finding) for finding in self.failing]
        lines += [f"{finding}: accepted until {rule.until}, {rule.reason}" for finding, rule in self.accepted]
        lines += [f"the exception for {rule.id} ended on {rule.until}" for rule in self.expired]
        below = len(self.findings) - len(self.failing) - len(self.accepted)
        return [*lines, f"{below or 'nothing'} below {self.threshold}"]


def judge(look: Look, rules: ScanRules, today: date) -> Scan:
    """Whether anything at or above the threshold is left once the exceptions that still hold are taken away."""
    findings = tuple(sorted(_merged(look.findings), key=lambda found: (-found.rank, found.package, found.id)))
    bad = [found for found in findings if found.rank >= _rank(rules.fail_on)]
    failing: list[Finding] = []
    accepted: list[tuple[Finding, ScanException]] = []
    expired: list[ScanException] = []
    for found in bad:
        named = [rule for rule in rules.exceptions if rule.id in found.names]
        holding = next((rule for rule in named if today <= rule.until), None)
        if holding:
            accepted.append((found, holding))
        else:
            failing.append(found)
            expired += named
    return Scan(
        result="fail" if failing else "pass",
        threshold=rules.fail_on,
        findings=findings,
        failing=tuple(failing),
        accepted=tuple(accepted),
        expired=tuple(expired),
        scanners=look.scanners,
        database=look.database,
    )


def unscanned(why: str, rules: ScanRules) -> Scan:
    """The record that nobody could look."""
    return Scan(result="unscanned", threshold=rules.fail_on, why=why)


def worst(severities: Iterable[str]) -> str:
    """The highest of severities as scanners write them; unknown only if none is known."""
    known = [severity.lower() for severity in severities if severity.lower() in _SEVERITIES]
    return max(known, key=_SEVERITIES.index, default=UNKNOWN)


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity if severity in _SEVERITIES else _UNKNOWN_COUNTS_AS)


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """Each vulnerability of a package once, where two scanners know it: as the one has it who says how bad it is."""
    merged: list[Finding] = []
    for found in sorted(findings, key=lambda found: found.severity == UNKNOWN):
        twice = any(other.package == found.package and other.names & found.names for other in merged)
        if not twice or found.severity != UNKNOWN:
            merged.append(found)
    return list(dict.fromkeys(merged))
