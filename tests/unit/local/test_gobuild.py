"""Building Go modules: what is cached, and what is said when the machine cannot build. A script stands in for Go."""

from pathlib import Path

import pytest

from adapters.errors import MachineUnfit
from local import gobuild

GO = """#!/bin/sh
if [ "$1" = env ]; then echo {release}; exit 0; fi
if [ "$2" = download ]; then printf '{{"Dir": "%s"}}' {log}.published; exit 0; fi
echo "$@" >> {log}
if [ "$1" = mod ]; then exit 0; fi
if [ -d completed ]; then (cd completed && find . -type f | sort) >> {log}; fi
while [ "$1" != -o ]; do shift; done
touch "$2/tool"
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    directory = tmp_path / "module"
    directory.mkdir()
    (directory / "go.mod").write_text("module m\n")
    return directory


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` on PATH that logs its builds; gives the log."""
    log = tmp_path / "builds"
    log.touch()
    _put_go(tmp_path, monkeypatch, "go1.26.8", log)
    monkeypatch.setenv("SLIPWAY_CACHE_DIR", str(tmp_path / "cache"))
    return log


def _put_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, log: Path) -> None:
    program = tmp_path / "bin" / "go"
    program.parent.mkdir(exist_ok=True)
    program.write_text(GO.format(release=release, log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_a_second_build_of_the_same_module_runs_no_compiler(module: Path, go: Path) -> None:
    first = gobuild.build(module, ["example.com/cmd/tool"])
    assert first == gobuild.build(module, ["example.com/cmd/tool"])
    assert first["tool"].is_file()
    assert len(go.read_text().splitlines()) == 1


def test_what_was_built_is_found_without_building_it(module: Path, go: Path) -> None:
    assert gobuild.find(module, ["example.com/cmd/tool"]) is None
    assert go.read_text() == ""
    built = gobuild.build(module, ["example.com/cmd/tool"])
    assert gobuild.find(module, ["example.com/cmd/tool"]) == built


def test_a_changed_module_file_is_built_anew_and_elsewhere(module: Path, go: Path) -> None:
    first = gobuild.build(module, ["example.com/cmd/tool"])
    (module / "go.mod").write_text("module m\n\ngo 1.26.0\n")
    assert gobuild.build(module, ["example.com/cmd/tool"])["tool"] != first["tool"]
    assert len(go.read_text().splitlines()) == 2


def test_a_major_version_is_not_the_name_of_the_binary(module: Path, go: Path) -> None:
    assert list(gobuild.build(module, ["example.com/tool/v3"])) == ["tool"]


def test_missing_go_is_said_with_a_way_out(
    module: Path, go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(MachineUnfit, match=r"Go is not installed.*Go 1\.26 or newer.*cluster of your own"):
        gobuild.build(module, ["example.com/cmd/tool"])


def test_an_old_go_is_refused_by_its_release(
    module: Path, go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_go(tmp_path, monkeypatch, "go1.19.8", go)
    with pytest.raises(MachineUnfit, match=r"too old: go1\.19\.8"):
        gobuild.build(module, ["example.com/cmd/tool"])
    assert not go.read_text()


def test_a_full_disk_is_refused_before_anything_is_built(
    module: Path, go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gobuild, "DISK_NEEDED", 1 << 60)
    for build in (gobuild.check, gobuild.build):
        with pytest.raises(MachineUnfit, match="not enough disk space"):
            build(module, ["example.com/cmd/tool"])
    assert not go.read_text()


def test_what_is_built_already_needs_no_disk(module: Path, go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gobuild.build(module, ["example.com/cmd/tool"])
    monkeypatch.setattr(gobuild, "DISK_NEEDED", 1 << 60)
    gobuild.check(module, ["example.com/cmd/tool"])


def test_looking_whether_it_could_be_built_writes_nothing(module: Path, go: Path, tmp_path: Path) -> None:
    gobuild.check(module, ["example.com/cmd/tool"])
    assert not (tmp_path / "cache").exists()
    assert not go.read_text()


def test_a_module_that_was_published_without_files_gets_them_in_a_copy(module: Path, go: Path) -> None:
    published = Path(f"{go}.published")
    (published / "ui").mkdir(parents=True)
    (published / "ui" / "embed.go").write_text("package ui\n")
    addition = module / "additions" / "ui" / "dist" / "index.html"
    addition.parent.mkdir(parents=True)
    addition.write_text("<p>nothing</p>")
    gobuild.build(module, ["example.com/cmd/tool"], completes="example.com/cmd")
    edited, built, *files = go.read_text().splitlines()
    assert edited == "mod edit -replace=example.com/cmd=./completed"
    assert built.startswith("build ")
    assert files == ["./ui/dist/index.html", "./ui/embed.go"]
    assert not (published / "ui" / "dist").exists(), "Go's own cache stays as it was"
    assert not (module / "completed").exists()
