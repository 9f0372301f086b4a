"""What changes one stack, as a list of named steps; `updates.run` does it for several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.errors import SlipwayError, UpdateFailed
from adapters.stackfile import StackFile
from delivery.console import Console
from delivery.images import check_images
from delivery.stack import Outcome
from delivery.workspace import Workspace


class Changer:
    """Updates and deletes stacks, showing the engine's lines as they come; `names` are all that take part.

    `meanwhile` is called with each line of an update: the engine has begun to change the cluster.
    """

    def __init__(
        self,
        workspace: Workspace,
        console: Console,
        names: Sequence[str],
        message: str,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self._workspace, self._console, self._names, self._message = workspace, console, names, message
        self._meanwhile = meanwhile

    def update(self, stack: str) -> Outcome:
        """Update one stack."""
        self._workspace.platform.before(stack)
        self._check(stack)
        outcome = self._recording_engine(stack, lambda: self._up(stack))
        self._workspace.platform.after(stack)
        return outcome

    def delete(self, stack: str, *, with_data: bool) -> Outcome:
        """Delete all that one stack has; whatever engine makes it anew may have it."""
        managed = self._workspace.manage(stack)
        if with_data:
            managed.unprotect()
        outcome = managed.down(self._console.lines_of(stack, self._names), self._message)
        self._workspace.marker(stack).remove()
        self._workspace.platform.after(stack)
        return outcome

    def _check(self, stack: str) -> None:
        settings = self._workspace.settings(stack)
        file = StackFile.load(self._workspace.path(stack))
        check_images(settings, file, lambda: self._workspace.crypter(stack))

    def _up(self, stack: str) -> Outcome:
        show = self._console.lines_of(stack, self._names)

        def on_line(line: str) -> None:
            show(line)
            if self._meanwhile is not None:
                self._meanwhile()

        return self._workspace.manage(stack, create=True).up(on_line, self._message)

    def _recording_engine(self, stack: str, update: Callable[[], Outcome]) -> Outcome:
        """Record the engine before it changes anything; take that back where it refused to begin."""
        marker = self._workspace.marker(stack)
        is_first = marker.read() is None
        if is_first:
            marker.write(self._workspace.engine_of(stack))
        try:
            return update()
        except SlipwayError as error:
            if is_first and error.exit_code != UpdateFailed.exit_code:
                marker.remove()
            raise
