"""What makes two images of a service the same, before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.errors import BadInput
from local.images import build_service
from local.images.service import content_hash


@pytest.fixture
def service(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app" / "main.py").write_text("print()\n")
    return tmp_path


def test_a_folder_without_a_dockerfile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Dockerfile"):
        build_service(tmp_path, "hello")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "app" / "main.py").write_text("print(1)\n"),
        lambda folder: (folder / "app" / "main.py").rename(folder / "app" / "other.py"),
        lambda folder: (folder / "app" / "main.py").chmod(0o755),
        lambda folder: (folder / "Dockerfile").write_text("FROM other\n"),
        lambda folder: (folder / "app" / "new.py").touch(),
        lambda folder: (folder / "app" / "link.py").symlink_to("main.py"),
    ],
    ids=["content", "name", "executable", "Dockerfile", "new file", "new link"],
)
def test_a_change_of_what_is_built_from_is_noticed(service: Path, change: Callable[[Path], object]) -> None:
    before = content_hash(service)
    change(service)
    assert content_hash(service) != before


def test_bytecode_times_and_the_umask_change_nothing(service: Path) -> None:
    before = content_hash(service)
    (service / "app" / "__pycache__").mkdir()
    (service / "app" / "__pycache__" / "main.cpython-311.pyc").touch()
    (service / "app" / "main.py").chmod(0o600)
    (service / "app" / "main.py").touch()
    assert content_hash(service) == before


def test_two_names_with_swapped_contents_are_told_apart(service: Path) -> None:
    (service / "a").write_text("1")
    (service / "b").write_text("2")
    before = content_hash(service)
    (service / "a").write_text("2")
    (service / "b").write_text("1")
    assert content_hash(service) != before
