"""GitHub's HTTP API, as little of it as is needed: a workflow is started.

Source: https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from adapters.errors import BadInput, Refused, Unreachable

API = "https://api.github.com"
_VERSION = "2022-11-28"
_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Workflow:
    """A workflow that takes `workflow_dispatch`: `repository` is OWNER/NAME, `file` its name, `ref` a branch."""

    repository: str
    file: str
    ref: str
    api: str = API

    def start(self, inputs: Mapping[str, str], token_file: Path) -> None:
        """Start it; it is queued when this returns. The token, which needs `actions: write`, is read each time.

        Raises `Unreachable` where GitHub does not answer, `Refused` with its words where it does not take it.
        """
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {_read(token_file)}",
            "X-GitHub-Api-Version": _VERSION,
        }
        url = f"{self.api.rstrip('/')}/repos/{self.repository}/actions/workflows/{self.file}/dispatches"
        try:
            answer = httpx2.post(
                url, json={"ref": self.ref, "inputs": dict(inputs)}, headers=headers, timeout=_TIMEOUT_S
            )
        except httpx2.TransportError as error:
            raise Unreachable(f"GitHub does not answer: {error or type(error).__name__}", where=self.api) from None
        if answer.is_server_error:
            raise Unreachable(f"GitHub does not answer: status {answer.status_code}", where=self.api)
        if not answer.is_success:
            raise Refused(
                f"GitHub does not start the workflow {self.file}: status {answer.status_code}, {_said(answer)}",
                where=f"{self.repository}, branch {self.ref}",
                fix="The token needs `actions: write` there, and the workflow `on: workflow_dispatch` on that branch",
            )


def _read(token_file: Path) -> str:
    try:
        return token_file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"the token for GitHub cannot be read: {getattr(error, 'strerror', error)}", where=str(token_file)
        ) from None


def _said(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return "without a word"
