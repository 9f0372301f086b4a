"""The git repository that a configuration directory is, or lies in: what git says and what runs never part.

Only what is asked for is committed: whatever else is changed, staged or untracked in the repository stays as it is.
Every git command names its repository, and asks nobody anything.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.command import CommandFailed, run
from adapters.errors import BadInput, Refused, SlipwayError, Unreachable

_FALLBACK = ("-c", "user.name=slipway", "-c", "user.email=slipway@localhost", "-c", "commit.gpgsign=false")
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C"}
_LOG_FORMAT = "%H%x1f%an%x1f%aI%x1f%B%x1e"
_SHOWN_DIGITS = 12
_ORDINARY = "100644"
"""The mode of a file that is neither a program nor a link."""


@dataclass(frozen=True)
class Commit:
    """A commit: `at` is when it was written, with its zone."""

    sha: str
    author: str
    at: datetime
    message: str

    @property
    def title(self) -> str:
        """The message's first line."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True)
class Change:
    """What a commit does to a file. `is_edit`: it was there, is there, and is an ordinary file as before."""

    path: str
    is_edit: bool


class Repository:
    """The repository that `directory` lies in. Paths are absolute or relative to `directory`.

    Where there is none, everything but `is_repository` raises `BadInput`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def is_repository(self) -> bool:
        """Whether the directory lies in a repository's work tree."""
        try:
            return self._run("rev-parse", "--is-inside-work-tree").strip() == "true"
        except CommandFailed:
            return False

    @functools.cached_property
    def git_dir(self) -> Path:
        """Where git keeps this work tree's own things: never part of a commit."""
        try:
            return Path(self._run("rev-parse", "--absolute-git-dir").strip())
        except CommandFailed:
            raise BadInput(
                "the configuration directory is no git repository, so nothing can be committed or taken back",
                where=str(self.directory),
                fix="Make it one (`git init`, then commit the stack files), or name another by --config-dir",
            ) from None

    @property
    def head(self) -> str | None:
        """The commit that is checked out, None before the first one."""
        _ = self.git_dir
        try:
            return self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
        except CommandFailed:
            return None

    def is_clean(self, path: Path) -> bool:
        """Whether the file is what the last commit says: neither changed, nor staged, nor untracked."""
        _ = self.git_dir
        return not self._run("status", "--porcelain=v1", "--untracked-files=all", "--", str(path)).strip()

    def check_clean(self, paths: Sequence[Path]) -> None:
        """Raise `Refused` if a file holds changes that nobody committed; call it before changing them yourself."""
        if changed := [path.name for path in paths if not self.is_clean(path)]:
            raise Refused(
                f"{' and '.join(changed)} {'has' if len(changed) == 1 else 'have'} changes that are not committed, and "
                "would be mixed with ours; nothing was changed",
                where=str(self.directory),
                fix="Commit them (`git commit`), or take them back (`git restore`), and run the command again",
            )

    def commit(self, paths: Sequence[Path], message: str, *, expect: Mapping[Path, bytes] | None = None) -> str:
        """Commit these files as they are now, and nothing else; the commit's sha, which is `head` if none differ.

        `expect` says what the caller wrote: a file that holds anything else by now was changed by somebody, and is
        refused. Raises `SlipwayError` where git does not take the commit, such as a hook that fails.
        """
        _ = self.git_dir
        for path, content in (expect or {}).items():
            if not path.is_file() or path.read_bytes() != content:
                raise Refused(
                    f"{path.name} was changed by somebody else after we wrote it; it was not committed",
                    where=str(self.directory),
                    fix="Look at the change (`git diff`)",
                )
        names = [str(path) for path in paths]
        try:
            self._run("add", "--intent-to-add", "--", *names)
            if self.head is not None and not self._run("diff", "--name-only", "HEAD", "--", *names).strip():
                return self.head
            self._run(*self._identity(), "commit", "--quiet", "--only", "--file=-", "--", *names, stdin=message)
        except CommandFailed as error:
            raise SlipwayError(
                f"git does not take the commit: {error.paragraph()}",
                where=str(self.directory),
                fix="Mend what git complains of, and run the command again",
            ) from None
        return self.head or ""

    def content(self, path: Path, commit: str = "HEAD") -> bytes | None:
        """The file as a commit has it, None if it has none."""
        _ = self.git_dir
        try:
            return self._run("show", f"{commit}:./{self._relative(path)}").encode()
        except CommandFailed:
            return None

    def restore(self, path: Path, commit: str, message: str) -> str:
        """Bring one file back to what `commit` has, as a new commit; refused if it holds changes not committed."""
        self.check_clean([path])
        content = self.content(path, commit)
        if content is None:
            raise BadInput(f"the commit {commit[:_SHOWN_DIGITS]} has no {path.name}", where=str(self.directory))
        (self.directory / path).write_bytes(content)
        return self.commit([path], message)

    def unstage(self, path: Path) -> None:
        """Forget what was staged of a file, which stays as it is."""
        self._run("reset", "--quiet", "--", str(path))

    def log(self, path: Path | None = None, limit: int | None = None) -> list[Commit]:
        """The commits that changed `path`, or all; the latest first."""
        if self.head is None:
            return []
        count = [f"--max-count={limit}"] if limit is not None else []
        text = self._run("log", f"--format={_LOG_FORMAT}", *count, "--", *([str(path)] if path else []))
        return [_commit(entry) for entry in text.split("\x1e") if entry.strip()]

    def resolve(self, name: str) -> str:
        """The commit that a branch, a tag or digits name; raises `BadInput` for what names none."""
        _ = self.git_dir
        try:
            return self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
        except CommandFailed:
            raise BadInput(
                f"there is no commit {name!r}",
                where=str(self.directory),
                fix="Fetch it (in a workflow: `fetch-depth: 0` of the checkout)",
            ) from None

    def between(self, base: str, head: str) -> list[Commit]:
        """The commits that `head` has and `base` has not, the first one first; both are names of commits."""
        names = (self.resolve(base), self.resolve(head))
        text = self._run("log", "--reverse", f"--format={_LOG_FORMAT}", f"{names[0]}..{names[1]}", "--")
        return [_commit(entry) for entry in text.split("\x1e") if entry.strip()]

    def changes(self, commit: str) -> list[Change]:
        """What a commit does to which files, from the directory on; of a merge, what it does to its first parent."""
        argv = ("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--no-renames", "--diff-merges=first-parent")
        fields = self._run(*argv, self.resolve(commit)).split("\0")[:-1]
        return [
            Change(path, status == "M" and before == after == _ORDINARY)
            for raw, path in zip(fields[::2], fields[1::2], strict=True)
            for before, after, _, _, status in [raw.removeprefix(":").split(" ")]
        ]

    @contextlib.contextmanager
    def checked_out(self, commit: str) -> Iterator[Path]:
        """This directory as a commit has it, somewhere else, for as long as it is needed."""
        sha, prefix = self.resolve(commit), self._run("rev-parse", "--show-prefix").strip()
        with tempfile.TemporaryDirectory(prefix="slipway-commit-") as scratch:
            tree = Path(scratch) / "tree"
            self._run("worktree", "add", "--quiet", "--detach", str(tree), sha)
            try:
                yield tree / prefix
            finally:
                self._run("worktree", "remove", "--force", str(tree))

    def fetch(self, remote: str, branch: str) -> str:
        """The commit that a branch of a remote has now; raises `Unreachable` where the remote does not answer."""
        _ = self.git_dir
        try:
            self._run("fetch", "--quiet", remote, f"refs/heads/{branch}")
        except CommandFailed as error:
            raise Unreachable(f"git cannot fetch {branch} of {remote}: {error.paragraph()}") from None
        return self.resolve("FETCH_HEAD")

    def rebase(self, onto: str) -> None:
        """Put what `onto` has not behind it; where both changed the same, undoes it and raises `Refused`."""
        try:
            self._run(*self._identity(), "rebase", "--quiet", self.resolve(onto))
        except CommandFailed as error:
            with contextlib.suppress(CommandFailed):
                self._run("rebase", "--abort")
            raise Refused(
                f"others have changed the same meanwhile: {error.paragraph()}",
                where=str(self.directory),
                fix="Bring both together by hand (`git rebase`), and push",
            ) from None

    def push(self, remote: str, commit: str, branch: str, *, force: bool = False) -> str | None:
        """Make a remote's branch this commit; None, or why the remote did not take it. An empty commit removes it."""
        _ = self.git_dir
        try:
            self._run("push", "--quiet", *(["--force"] if force else []), remote, f"{commit}:refs/heads/{branch}")
        except CommandFailed as error:
            return error.output.strip()
        return None

    @property
    def upstream(self) -> tuple[str, str] | None:
        """The remote and its branch that the present branch follows; None where it follows none."""
        _ = self.git_dir
        try:
            name = self._run("rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}").strip()
        except CommandFailed:
            return None
        remote, _, branch = name.partition("/")
        return remote, branch

    def unpushed(self, path: Path | None = None) -> list[Commit]:
        """The commits, of `path` or all, that the branch followed lacks, as far as is known here: nobody is asked."""
        if self.upstream is None:
            return []
        names = [str(path)] if path else []
        text = self._run("log", f"--format={_LOG_FORMAT}", "@{upstream}..HEAD", "--", *names)
        return [_commit(entry) for entry in text.split("\x1e") if entry.strip()]

    def person(self) -> str | None:
        """Who commits here, by git's configuration: a name, None where it knows none."""
        try:
            return self._run("config", "user.name").strip() or None
        except CommandFailed:
            return None

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.directory)) if path.is_absolute() else str(path)

    def _identity(self) -> Sequence[str]:
        """Whoever git is configured for commits; where that is nobody, we do under our own name."""
        try:
            self._run("config", "user.email")
        except CommandFailed:
            return _FALLBACK
        return ()

    def _run(self, *args: str, stdin: str | None = None) -> str:
        return run(["git", "-C", str(self.directory), *args], env=_QUIET, stdin=stdin)


def _commit(entry: str) -> Commit:
    sha, author, at, message = entry.strip("\n").split("\x1f")
    return Commit(sha, author, datetime.fromisoformat(at), message.strip())
