"""Runs the scanners: syft says what an image is made of, grype and pip-audit what is known to be wrong with it.

Each of them says that all is well also where it could not look: without a database, without the name of the
distribution, about packages that the source of its knowledge has never heard of. Those answers are found out here.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.command import CommandFailed, run
from adapters.errors import SlipwayError, Unreachable
from adapters.progress import step
from delivery.releases.scan import Finding, Look, worst

_TIMEOUT_S = 900
_OF_A_DISTRIBUTION = ("pkg:alpm/", "pkg:apk/", "pkg:deb/", "pkg:rpm/")
_SHOWN = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# What would let grype see less than there is. Its configuration files, which could too, are replaced by an empty one:
# exceptions are those of the stack file, with their dates and reasons, and no others.
_GRYPE_SEES_ALL = {
    "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    "GRYPE_ONLY_FIXED": "false",
    "GRYPE_ONLY_NOTFIXED": "false",
    "GRYPE_IGNORE_WONTFIX": "",
    "GRYPE_FAIL_ON_SEVERITY": "",
    "NO_COLOR": "1",
}
_SYFT_SEES_ALL = {"SYFT_CHECK_FOR_APP_UPDATE": "false", "SYFT_SELECT_CATALOGERS": "", "NO_COLOR": "1"}


class CouldNotLook(Unreachable):
    """A scanner ran and knows nothing, or saw nothing: there is no result."""


@dataclass(frozen=True)
class Programs:
    """Gives each scanner's path when it is needed: making one may take minutes, and raises `MachineUnfit`."""

    syft: Callable[[], Path]
    grype: Callable[[], Path]
    pip_audit: Callable[[], Path]


@dataclass(frozen=True)
class Parts:
    """What an image is made of, as an SPDX document: what is signed as proof is what is scanned, now and later."""

    spdx: Mapping[str, Any]

    @property
    def is_blind(self) -> str:
        """Why nothing would be found in it whatever is wrong; empty if all is well."""
        urls = [url for package in self.spdx.get("packages") or () for url in _package_urls(package)]
        if not [url for url in urls if not url.startswith("pkg:oci/")]:
            return "syft found no package in the image"
        if any(url.startswith(_OF_A_DISTRIBUTION) and "distro=" not in url for url in urls):
            return "the image does not say of which distribution its packages are (/etc/os-release)"
        return ""

    @property
    def lister(self) -> str:
        """The version of syft that listed them."""
        creators = (self.spdx.get("creationInfo") or {}).get("creators") or ()
        tools = [creator.removeprefix("Tool: syft-") for creator in creators if creator.startswith("Tool: syft-")]
        return tools[0] if tools else "unknown"


class Scanners:
    """The scanners, each run in a directory of its own and with our settings alone."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    def parts(self, archive: Path, name: str) -> Parts:
        """What the image in an OCI archive is made of."""
        with _scratch() as scratch, step(f"listing what {name} is made of"):
            spdx = scratch / "spdx.json"
            argv = [str(self._programs.syft()), "scan", f"--config={_empty(scratch)}"]
            argv += [f"--source-name={name}", "--output", f"spdx-json={spdx}"]
            try:
                run([*argv, f"oci-archive:{archive}"], cwd=scratch, env=_SYFT_SEES_ALL, timeout_s=_TIMEOUT_S)
                return Parts(json.loads(spdx.read_bytes()))
            except (CommandFailed, OSError, ValueError) as error:
                raise CouldNotLook(f"syft could not read the image of {name}: {_said(error)}") from error

    def look(self, parts: Parts, name: str, requirements: Path | None) -> Look:
        """What is known to be wrong with the parts, and with the Python packages that a service requires.

        Raises `CouldNotLook` where anything was not looked at.
        """
        if parts.is_blind:
            raise CouldNotLook(parts.is_blind, where=f"image of {name}")
        with step(f"looking for vulnerabilities of {name}"):
            look = self._grype(parts)
            if requirements is None:
                return look
            audited, version = self._pip_audit(requirements)
        return Look((*look.findings, *audited), {**look.scanners, "pip-audit": version}, look.database)

    def _grype(self, parts: Parts) -> Look:
        with _scratch() as scratch:
            sbom, report = scratch / "spdx.json", scratch / "report.json"
            sbom.write_text(json.dumps(parts.spdx), encoding="utf-8")
            argv = [str(self._programs.grype()), f"sbom:{sbom}", f"--config={_empty(scratch)}"]
            try:
                run([*argv, f"--output=json={report}"], cwd=scratch, env=_GRYPE_SEES_ALL, timeout_s=_TIMEOUT_S)
                return read_grype(json.loads(report.read_bytes()), parts.lister)
            except (CommandFailed, OSError, ValueError, KeyError, TypeError) as error:
                raise CouldNotLook(
                    f"grype could not look for vulnerabilities: {_said(error)}",
                    fix="See that its database can be had (`grype db status`); to go on without a scan, which only "
                    "test accepts by default, say --allow-unscanned",
                ) from error

    def _pip_audit(self, requirements: Path) -> tuple[list[Finding], str]:
        program = str(self._programs.pip_audit())
        with _scratch() as scratch:
            report = scratch / "report.json"
            argv = [program, f"--requirement={requirements}", "--no-deps", "--disable-pip", "--progress-spinner=off"]
            failed: CommandFailed | None = None
            try:
                run([*argv, "--format=json", f"--output={report}"], cwd=scratch, timeout_s=_TIMEOUT_S)
            except CommandFailed as error:
                failed = error  # as it does also for findings: whether there is a report tells them apart
            try:
                version = run([program, "--version"]).split()[-1]
                return read_pip_audit(json.loads(report.read_bytes())), version
            except (OSError, ValueError, KeyError, TypeError, IndexError, SlipwayError) as error:
                raise CouldNotLook(
                    f"pip-audit could not look for vulnerabilities: {_said(failed or error)}",
                    where=requirements.name,
                    fix="See that its source can be reached from here (PIP_AUDIT_VULNERABILITY_SERVICE and "
                    "PIP_AUDIT_OSV_URL name another); to go on without a scan say --allow-unscanned",
                ) from error


def read_grype(report: Mapping[str, Any], syft_version: str) -> Look:
    """What grype's JSON says; raises `ValueError` for one that was made without knowledge."""
    database = report["descriptor"]["db"]
    status = database["status"]
    if not status.get("valid") or status.get("error"):
        raise ValueError(f"its database is not valid: {status.get('error') or 'it does not say why'}")
    if not database.get("providers"):
        raise ValueError("its database holds no source of vulnerabilities")
    return Look(
        findings=tuple(_grype_finding(match) for match in report["matches"]),
        scanners={"syft": syft_version, "grype": str(report["descriptor"]["version"])},
        database={
            "built": status["built"],
            "schema": status["schemaVersion"],
            "sources": sorted(database["providers"]),
        },
    )


def read_pip_audit(report: Mapping[str, Any]) -> list[Finding]:
    """What pip-audit's JSON says; raises `ValueError` where it left packages out, which it does without failing."""
    skipped = [f"{each['name']}: {each['skip_reason']}" for each in report["dependencies"] if "skip_reason" in each]
    if skipped:
        raise ValueError(
            f"{len(skipped)} of {len(report['dependencies'])} packages were left out, such as {skipped[0]}"
        )
    return [
        Finding(
            id=found["id"],
            package=each["name"],
            version=each["version"],
            fixed=next(iter(found["fix_versions"]), None),
            aliases=frozenset(found.get("aliases", ())),
        )
        for each in report["dependencies"]
        for found in each["vulns"]
    ]


def _grype_finding(match: Mapping[str, Any]) -> Finding:
    vulnerability, related = match["vulnerability"], match.get("relatedVulnerabilities") or []
    own = worst([vulnerability["severity"]])
    fix = vulnerability.get("fix") or {}
    return Finding(
        id=vulnerability["id"],
        package=match["artifact"]["name"],
        version=match["artifact"]["version"],
        # A distribution often says nothing of how bad it is; then what others say of the same one holds.
        severity=own if own != "unknown" else worst(str(other.get("severity", "")) for other in related),
        fixed=next(iter(fix.get("versions") or ()), None) if fix.get("state") == "fixed" else None,
        aliases=frozenset(str(other["id"]) for other in related),
    )


def _package_urls(package: Mapping[str, Any]) -> list[str]:
    references = package.get("externalRefs") or ()
    return [str(each["referenceLocator"]) for each in references if each.get("referenceType") == "purl"]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="slipway-scan-") as directory:
        yield Path(directory)


def _empty(scratch: Path) -> Path:
    path = scratch / "settings.yaml"
    path.write_text("{}\n", encoding="utf-8")
    return path


def _said(error: Exception) -> str:
    """A scanner's own last words, without colours and the log's prefix."""
    if not isinstance(error, CommandFailed):
        return str(error)[:_SHOWN]
    lines = [_COLOUR.sub("", line).strip() for line in error.output.strip().splitlines()]
    lines = [re.sub(r"^\[\d+\]\s+ERROR\s+", "", line) for line in lines if line]
    return (lines[-1] if lines else "it printed nothing")[:_SHOWN]
