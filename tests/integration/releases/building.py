"""A repository of two services, and builds of it with a builder and a scanner that take no time."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.command import run
from adapters.errors import Unreachable
from adapters.registry import RegistryClient
from components.delivery_model import ScanRules
from delivery.releases.build import BuiltRelease, ReleaseBuild
from delivery.releases.making import BuildOptions
from delivery.releases.scan import Finding, Look
from delivery.releases.scanners import CouldNotLook, Parts, Programs, Scanners
from delivery.releases.signing import Signer
from delivery.releases.source import SourceService, open_source
from delivery.releases.store import ReleaseStore
from local.images import BuiltImage, oci

_GIT = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false", "-c", "core.hooksPath="]


class Sources:
    """A git repository with services."""

    def __init__(self, directory: Path, *services: str) -> None:
        self.directory = directory
        for service in services:
            self.write(service, "first")
            (directory / "services" / service / "Dockerfile").write_text(
                "ARG BASE=python:3.13-slim\nFROM ${BASE}\nCOPY app.py /app.py\n"
            )
        self._git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def write(self, service: str, text: str) -> None:
        folder = self.directory / "services" / service
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.py").write_text(f"print({text!r})\n")

    def commit(self) -> str:
        """Commit everything; the tag of the commit."""
        self._git("add", "--all")
        self._git(*_GIT, "commit", "--quiet", "--allow-empty", "--message=change")
        return f"sha-{self.head[:12]}"

    @property
    def head(self) -> str:
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *args: str) -> str:
        clean = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return run(["git", "-C", str(self.directory), *args], env=clean)


@dataclass
class QuickBuilder:
    """Packs a service's directory into an image; `fickle` ones give another digest each time, as most builders do."""

    name: str = "quick"
    fickle: bool = False
    built: list[str] = field(default_factory=list)

    def build(self, service: SourceService, scratch: Path) -> BuiltImage:
        self.built.append(service.name)
        content = (service.directory / "app.py").read_bytes()
        layer = oci.layer([oci.File("app.py", content + (uuid.uuid4().bytes if self.fickle else b""))])
        archive = scratch / f"{service.name}.tar"
        return BuiltImage(archive, oci.write_archive(archive, service.name, layer, {"Cmd": ["python3"]}))


class QuickScanners(Scanners):
    """Sees one package, and finds what it is told to; blind where `why` says why."""

    def __init__(self, *findings: Finding, why: str = "") -> None:
        def none() -> Path:
            raise AssertionError("nothing is to be run")

        super().__init__(Programs(none, none, none))
        self.findings, self.why = findings, why

    def parts(self, archive: Path, name: str) -> Parts:  # noqa: ARG002 - it needs no image
        package = {"externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:pypi/h11@1"}]}
        created = {"created": "2026-11-25T00:00:00Z", "creators": ["Tool: syft-1.0.0"]}
        return Parts({"spdxVersion": "SPDX-2.3", "name": name, "creationInfo": created, "packages": [package]})

    def look(self, parts: Parts, name: str, requirements: Path | None) -> Look:  # noqa: ARG002 - it knows
        if self.why:
            raise CouldNotLook(self.why)
        return Look(self.findings, {"grype": "1"}, {"built": "2026-11-25"})


class BreakingRegistry(RegistryClient):
    """A registry that is gone before the write number `last` + 1."""

    def __init__(self, address: str, last: int) -> None:
        super().__init__(address)
        self.left = last

    def put_blob(self, *args: Any, **how: Any) -> str:
        self._count()
        return super().put_blob(*args, **how)

    def put_manifest(self, *args: Any) -> str:
        self._count()
        return super().put_manifest(*args)

    def _count(self) -> None:
        if self.left <= 0:
            raise Unreachable("the registry is gone")
        self.left -= 1


@dataclass
class Bench:
    """Builds releases of `sources`."""

    sources: Sources
    store: ReleaseStore
    registry: RegistryClient
    signer: Signer
    builder: QuickBuilder = field(default_factory=QuickBuilder)

    def build(
        self,
        *,
        dirty: bool = False,
        scanners: Scanners | None = None,
        rules: ScanRules | None = None,
        options: BuildOptions | None = None,
        registry: RegistryClient | None = None,
        signer: Signer | None = None,
    ) -> BuiltRelease:
        registry = registry or self.registry
        store = self.store if registry is self.registry else ReleaseStore(registry, self.store.trust)
        with open_source(self.sources.directory, dirty=dirty) as source:
            return ReleaseBuild(
                source=source,
                store=store,
                registry=registry,
                signer=signer or self.signer,
                builder=self.builder,
                scanners=scanners or QuickScanners(),
                rules=rules or ScanRules(),
                options=options or BuildOptions(),
            ).run()
