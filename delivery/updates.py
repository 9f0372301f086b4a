"""One operation on several stacks: each after those it stands on, independent ones at once.

When one fails, those that stand on it are not attempted; independent ones go on. Every error is told.
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from adapters.errors import SlipwayError
from delivery.stack import Outcome
from delivery.workspace import DeclaredStack

_AT_ONCE = 4


class SeveralFailed(SlipwayError):
    """A paragraph for each stack that failed; the command ends with the first one's code."""

    def __init__(self, errors: Mapping[str, SlipwayError], skipped: Sequence[str]) -> None:
        self.exit_code = next(iter(errors.values())).exit_code
        lines = [f"{stack}: {error.paragraph()}" for stack, error in errors.items()]
        if skipped:
            lines.append(f"Not attempted, since what they stand on failed: {', '.join(skipped)}.")
        super().__init__("\n".join(lines))

    def paragraph(self) -> str:
        """A paragraph a stack."""
        return self.what


@dataclass
class Results:
    """What became of each stack."""

    done: dict[str, Outcome] = field(default_factory=dict)
    errors: dict[str, SlipwayError] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, changed in any stack."""
        return any(outcome.changed for outcome in self.done.values())

    def to_json(self) -> dict[str, Any]:
        """For `--json`: what became of each stack that was asked for."""
        found: dict[str, dict[str, Any]] = {name: o.to_json() | {"error": None} for name, o in self.done.items()}
        found |= {name: {"error": error.paragraph()} for name, error in self.errors.items()}
        found |= {name: {"error": "not attempted, since what it stands on failed"} for name in self.skipped}
        return {"changed": self.changed, "stacks": [{"name": name} | facts for name, facts in found.items()]}

    def raise_errors(self) -> None:
        """Raise what went wrong, if anything did: a single error as it is."""
        if len(self.errors) == 1 and not self.skipped:
            raise next(iter(self.errors.values()))
        if self.errors:
            raise SeveralFailed(self.errors, self.skipped)


def run(stacks: Sequence[DeclaredStack], operation: Callable[[str], Outcome], *, reverse: bool = False) -> Results:
    """Run `operation` on every stack. With `reverse`, stacks go before those they stand on.

    Interrupted by Ctrl-C, it begins nothing more and waits for what runs, which the same Ctrl-C has reached.
    """
    order, results = _order(stacks, reverse=reverse), Results()
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        while True:
            for name in order.get_ready():
                running[executor.submit(operation, name)] = name
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                if _keep(future, name, results):
                    order.done(name)
    attempted = results.done.keys() | results.errors.keys()
    results.skipped = [stack.name for stack in stacks if stack.name not in attempted]
    return results


def _keep(future: Future[Outcome], name: str, results: Results) -> bool:
    try:
        results.done[name] = future.result()
    except SlipwayError as error:
        results.errors[name] = error
        return False
    return True


def _order(stacks: Sequence[DeclaredStack], *, reverse: bool) -> graphlib.TopologicalSorter[str]:
    """The stacks by what must be done before; what is not among them counts as done."""
    names = {stack.name for stack in stacks}
    before: dict[str, set[str]] = {name: set() for name in names}
    for stack in stacks:
        for other in names.intersection(stack.stands_on):
            first, then = (stack.name, other) if reverse else (other, stack.name)
            before[then].add(first)
    order = graphlib.TopologicalSorter(before)
    order.prepare()
    return order
