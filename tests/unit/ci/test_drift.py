"""`.ci/drift`, with programs in the place of `slipway` and of GitHub's `gh`, whom nobody answers here."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.paths import REPOSITORY

GH = """\
#!/bin/sh
[ "$2" != list ] || { cat "$ISSUES"; exit; }
echo "$@" >> "$CALLS"
while [ $# -gt 0 ]; do [ "$1" != --body-file ] || cat "$2" >> "$BODY"; shift; done
"""


@dataclass
class Night:
    folder: Path

    def look(self, *, code: int, said: str, issue: str = "") -> int:
        """Run the script; `slipway drift` ends with `code`, `issue` is the number of the one that is open."""
        for name, text in {"gh": GH, "slipway": f"#!/bin/sh\necho '{said}'\nexit {code}\n"}.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        (self.folder / "issues").write_text(issue)
        places = {name: str(self.folder / name.lower()) for name in ("ISSUES", "CALLS", "BODY")}
        env = {"PATH": f"{self.folder}:/usr/bin:/bin", "TMPDIR": str(self.folder), **places}
        return subprocess.run(["bash", REPOSITORY / ".ci" / "drift", "prod"], env=env, check=False).returncode

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_an_issue_is_opened_with_what_differs(night: Night) -> None:
    assert night.look(code=2, said="Deployment prod/hello: spec.replicas") == 0
    assert night.read("calls").startswith("issue create --title Drift in prod ")
    assert night.read("body") == "```\nDeployment prod/hello: spec.replicas\n```\n"


def test_an_issue_that_is_open_is_brought_up_to_date_and_no_second_one_made(night: Night) -> None:
    assert night.look(code=2, said="it differs", issue="7") == 0
    assert night.read("calls").startswith("issue edit 7 ")
    assert "it differs" in night.read("body")


def test_an_issue_is_closed_once_nothing_differs_any_more(night: Night) -> None:
    assert night.look(code=0, said="No drift.", issue="7") == 0
    assert night.read("calls").startswith("issue close 7 ")


def test_nothing_is_written_where_nothing_differs(night: Night) -> None:
    assert night.look(code=0, said="No drift.") == 0
    assert night.read("calls") == ""


def test_a_cluster_that_could_not_be_asked_is_no_drift_and_fails(night: Night) -> None:
    assert night.look(code=5, said="unreachable", issue="7") == 5
    assert night.read("calls") == ""


def test_nothing_is_left_behind(night: Night) -> None:
    night.look(code=2, said="it differs")
    assert not list(night.folder.glob("tmp.*"))
