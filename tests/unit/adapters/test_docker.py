"""Docker at its boundary: a `docker` that writes down how it was called, and answers as the real one documents."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from adapters import docker
from adapters.errors import BadInput, MachineUnfit, Unreachable

DIGEST = "sha256:" + "1a" * 32


class Docker:
    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"

    def answers(self, script: str) -> None:
        """`$metadata` is the file named by --metadata-file."""
        program = self.folder / "docker"
        program.write_text(
            f"""#!/bin/sh
printf '%s\\n' "$*" >> {self.calls}
for argument; do case "$argument" in --metadata-file=*) metadata="${{argument#*=}}";; esac; done
{script}
"""
        )
        program.chmod(0o755)

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return Docker(tmp_path)


def test_a_program_without_an_engine_is_no_engine(program: Docker) -> None:
    program.answers("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert not docker.has_engine()
    assert not docker.can_build()
    assert program.called[0] == "version --format {{.Server.Version}}"


def test_an_engine_without_buildx_pulls_and_does_not_build(program: Docker) -> None:
    program.answers('[ "$1" = version ]')
    assert docker.has_engine()
    assert not docker.can_build()
    assert program.called[-1] == "buildx version"


def test_a_build_is_told_to_leave_out_time_and_attestations_and_says_its_digest(
    program: Docker, tmp_path: Path
) -> None:
    program.answers(
        f"""echo '{json.dumps({"containerimage.digest": DIGEST, "buildx.build.ref": "x"})}' > "$metadata" """
    )
    service, archive = tmp_path / "services" / "hello", tmp_path / "hello.tar"
    assert docker.build(service, archive) == DIGEST
    (called,) = program.called
    before, metadata, after = called.partition("--metadata-file=")
    assert before == (
        "buildx build --progress=plain --provenance=false --sbom=false --build-arg=SOURCE_DATE_EPOCH=0 "
        f"--output=type=oci,dest={archive},rewrite-timestamp=true "
    )
    assert metadata
    assert after.partition(" ")[2] == f"--file={service}/Dockerfile {service}"


@pytest.mark.parametrize("written", ["", "{}", '{"containerimage.digest": "latest"}', "not JSON"])
def test_a_build_that_does_not_say_its_digest_is_none(program: Docker, tmp_path: Path, written: str) -> None:
    program.answers(f"""echo '{written}' > "$metadata" """)
    with pytest.raises(MachineUnfit, match="does not say which digest"):
        docker.build(tmp_path, tmp_path / "x.tar")


def test_a_dockerfile_that_does_not_build_is_shown_with_its_last_lines(program: Docker, tmp_path: Path) -> None:
    program.answers("echo 'ERROR: process \"/bin/sh -c false\" did not complete' >&2; exit 1")
    with pytest.raises(BadInput, match="does not build: ERROR: process"):
        docker.build(tmp_path, tmp_path / "x.tar")


def test_a_builder_that_writes_no_archives_is_told_from_a_bad_dockerfile(program: Docker, tmp_path: Path) -> None:
    # https://github.com/docker/buildx/blob/master/driver/features.go and its "docker" driver
    program.answers("echo 'ERROR: OCI exporter is not supported for the docker driver.' >&2; exit 1")
    with pytest.raises(MachineUnfit, match="docker buildx create --use"):
        docker.build(tmp_path, tmp_path / "x.tar")


def test_an_image_is_pulled_by_digest_and_named(program: Docker) -> None:
    program.answers("exit 0")
    docker.pull(f"ghcr.io/org/hello@{DIGEST}", "hello:v1.0.0")
    assert program.called == [
        f"pull --quiet ghcr.io/org/hello@{DIGEST}",
        f"tag ghcr.io/org/hello@{DIGEST} hello:v1.0.0",
    ]


def test_a_pull_that_is_denied_says_what_docker_said(program: Docker) -> None:
    program.answers("echo 'denied: requested access to the resource is denied' >&2; exit 1")
    with pytest.raises(Unreachable, match="denied: requested access"):
        docker.pull(f"ghcr.io/org/hello@{DIGEST}", "hello:v1.0.0")
