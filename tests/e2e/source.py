"""A team's repository, of which releases are built."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.e2e.platform import Platform, changed_service

_GREETING = 'f"Hello from {self._settings.environment}"'


class Source:
    """A team's repository with the service hello; every change of it is a commit."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        changed_service(
            directory / "services" / "hello", "app.py", _GREETING, _GREETING.replace("Hello", "Hello again")
        )
        self._git("init", "--quiet", "--initial-branch=main")
        self._commit("hello")

    def change(self, old: str, new: str) -> None:
        """Replace something in the application, and commit that."""
        path = self.directory / "services" / "hello" / "hello" / "app.py"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        self._commit(new)

    def build(self, platform: Platform) -> str:
        """Build a release of what was committed last; its tag."""
        built = platform.succeeds("release", "build", "--source", str(self.directory), "--allow-unscanned", "--json")
        return str(json.loads(built.out)["tag"])

    def _commit(self, message: str) -> None:
        self._git("add", "--all")
        self._git("-c", "user.name=dev", "-c", "user.email=dev@example.com", "commit", "--quiet", "-m", message)

    def _git(self, *args: str) -> None:
        subprocess.run(["git", "-C", str(self.directory), *args], check=True)
