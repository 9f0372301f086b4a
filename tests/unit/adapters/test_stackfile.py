"""Stack files: changed a value at a time, whole or not at all, and never over somebody else's change."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.errors import BadInput, MachineUnfit
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile

TEXT = """\
# prod: ask before you change it
config:
  slipway:kind: environment
  slipway:images:
    hello: hello:v1@sha256:aa  # since Monday
  other:key: 12:30
encryptionsalt: v1:abc=:v1:d:e
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_keys_are_the_projects_own_unless_they_name_another(path: Path) -> None:
    stack = StackFile.load(path)
    assert stack.get(["kind"]) == stack.get(["slipway:kind"]) == "environment"
    assert stack.get(["other:key"]) == "12:30"
    assert stack.get(["images", "nobody"]) is None
    assert stack.line_of(["images", "hello"]) == 5
    assert stack.encryption_salt == "v1:abc=:v1:d:e"


def test_a_saved_change_is_one_value_and_nothing_else(path: Path) -> None:
    path.chmod(0o640)
    stack = StackFile.load(path)
    stack.set(["images", "hello"], "hello:v2@sha256:bb")
    assert path.read_text() == TEXT
    stack.save()
    assert path.read_text() == TEXT.replace("hello:v1@sha256:aa", "hello:v2@sha256:bb")
    assert path.stat().st_mode & 0o7777 == 0o640
    assert StackFile.load(path).config == stack.config
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_mappings_on_the_way_are_made_and_lists_grow_at_their_end(path: Path) -> None:
    stack = StackFile.load(path)
    stack.set(["services", "hello", "replicas"], 2)
    stack.set(["holds"], [{"digest": "sha256:aa"}])
    stack.set(["holds", 1], {"digest": "sha256:bb"})
    stack.save()
    again = StackFile.load(path)
    assert again.get(["services"]) == {"hello": {"replicas": 2}}
    assert again.get(["holds", 1, "digest"]) == "sha256:bb"
    assert path.read_text().startswith(TEXT[: TEXT.index("encryptionsalt")])


def test_a_value_is_deleted_and_one_that_is_not_there_is_no_matter(path: Path) -> None:
    stack = StackFile.load(path)
    stack.delete(["images", "nobody"])
    stack.delete(["other:key"])
    stack.save()
    assert path.read_text() == TEXT.replace("  other:key: 12:30\n", "")


def test_a_single_value_has_no_place_below_it(path: Path) -> None:
    with pytest.raises(BadInput, match=r"no place for kind\.more"):
        StackFile.load(path).set(["kind", "more"], 1)


def test_the_salt_of_a_new_stack_is_added(path: Path) -> None:
    path.write_text("config:\n  slipway:kind: shared\n")
    stack = StackFile.load(path)
    assert stack.encryption_salt is None
    stack.encryption_salt = "v1:new"
    stack.save()
    assert path.read_text() == "config:\n  slipway:kind: shared\nencryptionsalt: v1:new\n"


def test_what_is_given_out_and_in_is_a_copy(path: Path) -> None:
    stack = StackFile.load(path)
    stack.config["slipway:kind"] = "changed"
    stack.get(["images"])["hello"] = "changed"
    given = {"hello": {"port": 80}}
    stack.set(["services"], given)
    given["hello"]["port"] = 81
    assert stack.get(["kind"]) == "environment"
    assert stack.get(["images", "hello"]) == "hello:v1@sha256:aa"
    assert stack.get(["services", "hello", "port"]) == 80


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"config:\n  a: [1\n", r"Pulumi\.prod\.yaml, line 3: the file is no valid YAML"),
        (b"config:\n  a: 1\n  a: 2\n", r"line 3: .*the key a is there twice"),
        (b"config:\n\ta: 1\n", r"line 2: .*YAML"),
        (b"- config\n", r"no stack file\. Allowed: a mapping"),
        (b"config: [1]\n", r"no stack file"),
        (b"config: \xff\n", r"not UTF-8 text \(byte 8\)"),
        (b"config: \x00\n", r"no valid YAML"),
    ],
)
def test_what_is_no_stack_file_is_explained(path: Path, content: bytes, complaint: str) -> None:
    path.write_bytes(content)
    with pytest.raises(BadInput, match=complaint):
        StackFile.load(path)


def test_a_missing_stack_lists_those_that_are_there(path: Path) -> None:
    with pytest.raises(BadInput, match=r"no such stack file\. Allowed: prod\."):
        StackFile.load(path.with_name("Pulumi.prd.yaml"))


def test_a_change_of_somebody_else_is_never_overwritten(path: Path) -> None:
    ours = StackFile.load(path)
    theirs = StackFile.load(path)
    theirs.set(["images", "hello"], "hello:v2")
    theirs.save()
    ours.set(["images", "hello"], "hello:v3")
    with pytest.raises(BadInput, match="changed meanwhile by somebody else, nothing was written"):
        ours.save()
    assert StackFile.load(path).get(["images", "hello"]) == "hello:v2"


def test_a_file_deleted_meanwhile_does_not_come_back(path: Path) -> None:
    stack = StackFile.load(path)
    stack.set(["kind"], "shared")
    path.unlink()
    with pytest.raises(BadInput, match="changed meanwhile"):
        stack.save()
    assert not path.exists()


def test_one_stack_file_saves_again_and_again(path: Path) -> None:
    stack = StackFile.load(path)
    for version in ("v2", "v3"):
        stack.set(["images", "hello"], f"hello:{version}")
        stack.save()
    assert "hello: hello:v3  # since Monday" in path.read_text()


def test_who_reads_while_we_write_reads_a_whole_file(path: Path) -> None:
    stack = StackFile.load(path)
    stack.set(["kind"], "shared")
    with path.open(encoding="utf-8") as reader:
        stack.save()
        assert reader.read() == TEXT


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "Pulumi.prod.yaml"
    link.parent.mkdir()
    link.symlink_to(path)
    stack = StackFile.load(link)
    stack.set(["kind"], "shared")
    stack.save()
    assert link.is_symlink()
    assert "kind: shared" in path.read_text()


FULL_DISK = """
import resource, sys
from pathlib import Path
from adapters.errors import MachineUnfit
from adapters.stackfile import StackFile
stack = StackFile.load(Path(sys.argv[1]))
stack.set(["note"], "x" * 100_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # a write beyond it fails as on a full disk
try:
    stack.save()
except MachineUnfit as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_the_file_as_it_was(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "cannot be written (File too large), it is as it was" in done.stdout
    assert path.read_text() == TEXT
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failure_of_the_disk_is_explained_and_can_be_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    stack = StackFile.load(path)
    stack.set(["kind"], "shared")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(MachineUnfit, match="No space left on device"):
            stack.save()
    assert path.read_text() == TEXT
    stack.save()
    assert "kind: shared" in path.read_text()


WRITER = """
import sys
from pathlib import Path
from adapters.stackfile import StackFile
stack = StackFile.load(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    stack.set(["note"], str(number) * 20_000)
    print(number, flush=True)
    stack.save()
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file_and_no_lock(path: Path) -> None:
    rng = random.Random(1)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, path], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(rng.randint(1, 8)):
                number = int(writer.stdout.readline())
            writer.kill()
        stack = StackFile.load(path)
        note = stack.get(["note"])
        assert note is None or (len(note) >= 20_000 and note == note[: len(note) // 20_000] * 20_000)
        assert number > 0
        stack.delete(["note"])
        stack.save()
        assert path.read_text() == TEXT
    stack.set(["kind"], "shared")
    stack.save()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
