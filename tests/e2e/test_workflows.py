"""The workflows themselves, run here by act on a copy of the repository: from a push to prod, and back.

The copy has the stack files of the platform under test, one small test of each kind in place of them all, and a bare
repository as its origin. Left out is what the workflows leave out under act: fetching a toolchain. What GitHub does
between two workflows, and before a job in an environment with reviewers, is done here by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from local import scan
from tests.done import Done
from tests.e2e.platform import Platform
from tests.integration.releases.vulnerabilities import Vulnerability, environment, make_database, osv_service
from tests.tools import build

_GIT = ["git", "-c", "user.name=dev", "-c", "user.email=dev@example.com", "-c", "commit.gpgsign=false"]
_KINDS = ("unit", "integration", "rules", "e2e")
_PASSES = "def test_that_it_adds_up() -> None:\n    assert sum([1, 1]) == 2\n"
_NEEDS_THE_CLI = """
    import shutil

    import pytest


    @pytest.mark.pulumi_cli
    @pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not installed")
    def test_that_the_cli_is_there() -> None:
        assert shutil.which("pulumi")
"""
_STACKS = ("test", "stage", "prod")
_NOT_COPIED = ("tests", "benchmarks")


class Shop:
    """A team's repository, which is its configuration directory, and what its workflows are given."""

    def __init__(self, platform: Platform, folder: Path, scanning: Mapping[str, str]) -> None:
        self._platform = platform
        self.directory, self.origin = folder / "shop", folder / "origin.git"
        self._folder, self._act = folder, build.act()
        self._fill()
        self._git("init", "--quiet", "--initial-branch=main")
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.origin], check=True)
        self._git("remote", "add", "origin", str(self.origin))
        self.commit("Begin")
        self._env = {
            **os.environ,
            **scanning,
            "VENV": str(self._venv()),
            "HOME": str(folder / "home"),
            "MYPY_CACHE_DIR": str(folder / "types"),
            "SLIPWAY_CACHE_DIR": os.environ.get("SLIPWAY_CACHE_DIR") or str(Path("~/.cache/slipway").expanduser()),
        }
        links = json.loads(platform.slipway("status", "--json").out)["links"]
        self._links = " ".join(f"{link['name']}={link['url']}" for link in links)

    def _fill(self) -> None:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        for name in listed.stdout.split("\0")[:-1]:
            if Path(name).parts[0] not in _NOT_COPIED or name.startswith("tests/environments/"):
                self.write(name, (REPOSITORY / name).read_bytes())
        for kind in _KINDS:
            self.write(f"tests/{kind}/test_small.py", _PASSES.encode())
        self.write("tests/unit/test_cli.py", textwrap.dedent(_NEEDS_THE_CLI).lstrip().encode())
        self.write("benchmarks/small.py", b'"""Of nothing."""\n')
        config_dir = self._platform.config_dir
        files = [f"Pulumi.{stack}.yaml" for stack in (*_STACKS, "monitoring")]
        for name in [*files, *(f".slipway/{stack}.engine" for stack in _STACKS), "registry-ca.pem"]:
            self.write(name, (config_dir / name).read_bytes())
        prod = StackFile.load(self.directory / "Pulumi.prod.yaml")
        soak = {"soaked": {"stack": "stage", "minutes": 1, "requests": 100}}
        prod.set(["gates"], [soak if "soaked" in gate else gate for gate in prod.get(["gates"])])
        prod.save()

    def _venv(self) -> Path:
        """The virtual environment that we run in, as one that `make` need not bring up to date."""
        venv = self._folder / "venv"
        venv.mkdir()
        for path in Path(sys.prefix).iterdir():
            if path.name != ".installed":
                (venv / path.name).symlink_to(path)
        (venv / ".installed").touch()
        os.utime(venv / ".installed", (4e9, 4e9))
        return venv

    def write(self, name: str, content: bytes) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def replace(self, name: str, old: str, new: str) -> None:
        path = self.directory / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def change(self, word: str) -> None:
        """One line of hello."""
        self.write("services/hello/hello/word.py", f'"""A word: {word}."""\n'.encode())

    def commit(self, message: str) -> str:
        """Commit all there is on top of what the workflows pushed, and push it; the tag of its release."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        self._git("push", "--quiet", "--force", "origin", "main")
        return f"sha-{self._git('rev-parse', 'HEAD').strip()[:12]}"

    def take_back(self) -> None:
        """Forget the last commit."""
        self._git("reset", "--quiet", "--hard", "HEAD~1")

    def pull(self) -> list[str]:
        """Have what the workflows pushed; the titles of all commits, the latest first."""
        self._git("pull", "--quiet", "--rebase", "origin", "main")
        return self._git("log", "--format=%s").splitlines()

    def run(
        self,
        workflow: str,
        event: str,
        payload: Mapping[str, Any],
        *,
        job: str = "",
        signer: str = "",
        may_read: bool = False,
    ) -> Done:
        """Let act run a workflow."""
        given = {
            "ref": "refs/heads/main",
            "repository": {"default_branch": "main", "full_name": "team/shop"},
            **payload,
        }
        (self._folder / "event.json").write_text(json.dumps(given))
        passphrase = Path(self._platform.env["PULUMI_CONFIG_PASSPHRASE_FILE"])
        key = passphrase.parent / "signers" / f"{signer}.key"
        secrets = {}
        if signer:
            secrets["SLIPWAY_PASSPHRASE"] = passphrase.read_text()
            secrets[f"SLIPWAY_{'BUILDER' if signer == 'ci' else 'VERIFIER'}_KEY"] = key.read_text()
        own = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase)} if may_read else {}
        argv = [str(self._act), event, "--workflows", f".github/workflows/{workflow}.yml", "--no-cache-server"]
        argv += ["--platform", "ubuntu-latest=-self-hosted", "--eventpath", str(self._folder / "event.json")]
        argv += ["--var", f"SLIPWAY_LINKS={self._links}", *(["--job", job] if job else [])]
        argv += [part for name in secrets for part in ("--secret", name)]
        done = subprocess.run(
            argv,
            cwd=self.directory,
            env={**self._env, **secrets, **own, "GITHUB_TOKEN": "none"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def make(self, target: str) -> str:
        """What a job's command says by hand: act was seen to lose what one printed that then ended at once."""
        argv = ["make", "--silent", target]
        done = subprocess.run(argv, cwd=self.directory, env=self._env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def push(self) -> Done:
        """What GitHub does after a push."""
        return self.run("ci", "push", {}, signer="ci")

    def _git(self, *args: str) -> str:
        return subprocess.run([*_GIT, *args], cwd=self.directory, capture_output=True, text=True, check=True).stdout

    def dispatch(self, workflow: str, **inputs: str) -> Done:
        """What a person starts by hand, or the alert receiver."""
        return self.run(workflow, "workflow_dispatch", {"inputs": inputs}, signer="verifier")

    def pull_request(self, job: str) -> Done:
        """A job of ci.yml, of a pull request with the last commit in it; the runner may read the registry."""
        base = self._git("rev-parse", "HEAD~1").strip()
        payload = {"pull_request": {"base": {"sha": base}}}
        return self.run("ci", "pull_request", payload, job=job, may_read=True)

    def tags(self) -> str:
        """The releases there are, as a person is shown them."""
        return self._platform.succeeds("release", "list").out


@pytest.fixture(scope="module")
def known() -> dict[str, list[str]]:
    """The vulnerabilities of Python packages that the scanners are told of."""
    return {}


@pytest.fixture(scope="module")
def shop(platform: Platform, known: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """What its workflows have done to the environments is undone at the end."""
    folder = tmp_path_factory.mktemp("workflows")
    harmless = Vulnerability("CVE-0000-0001", "starlette", "low")
    database = make_database(folder / "vulnerabilities", scan.grype(), [harmless])
    with osv_service(known) as asked:
        yield Shop(platform, folder, {**environment(database), **asked})
    platform.succeeds("up", *_STACKS, "--yes")


@pytest.mark.timeout(900)
def test_a_good_commit_goes_from_its_push_to_prod_and_a_dispatched_rollback_takes_it_back(
    platform: Platform, shop: Shop
) -> None:
    before = running(platform)
    shop.change("the first")
    tag = shop.commit("Change a word")
    pushed = shop.push()
    assert pushed.code == 0, pushed.said
    assert tag in shop.tags()

    platform.succeeds("sign-off", "prod", tag, "--note", "looked at it", "--as", "approver")
    with platform.load("stage", "hello", requests=1, clients=2, rate=20):
        deployed = shop.dispatch("deploy", release=tag)
    assert deployed.code == 0, deployed.said
    assert shop.pull()[:3] == [f"Promote {tag} to {stack}" for stack in reversed(_STACKS)]
    assert running(platform) != before

    back = shop.dispatch("rollback", stack="prod", reason="orders are lost")
    assert back.code == 0, back.said
    assert shop.pull()[0].startswith("Roll prod back to ")
    assert running(platform) == before


def running(platform: Platform) -> str:
    """What prod's pods are made of."""
    deployment = platform.kube.get("apps/v1", "Deployment", "hello", "prod")
    assert deployment is not None
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


_FAILS = "def test_that_it_adds_up() -> None:\n    assert sum([1, 1]) == 3\n"
_UNTIDY = "import os\n"
_KEY = "AKIA" + "QYLPMN5HHHFPZAM2"  # of nobody; in one piece it would be found in this file, too


@pytest.mark.parametrize(
    ("job", "file", "content", "said"),
    [
        ("lint", "delivery/untidy.py", _UNTIDY, "F401"),
        ("lint", "services/hello/hello/keys.py", f'"""Keys."""\n\nAWS = "{_KEY}"\n', "aws"),
        ("unit", "tests/unit/test_small.py", _FAILS, "1 failed"),
        ("integration", "tests/integration/test_small.py", _FAILS, "1 failed"),
        ("e2e", "tests/e2e/test_small.py", _FAILS, "1 failed"),
    ],
    ids=["a lint error", "a secret in the tree", "a unit test", "an integration test", "an end-to-end test"],
)
def test_a_bad_commit_is_red_and_what_pushes_waits_for_that(
    shop: Shop, job: str, file: str, content: str, said: str
) -> None:
    shop.write(file, content.encode())
    tag = shop.commit("Something is wrong")
    try:
        done = shop.run("ci", "push", {}, job=job)
        assert done.code != 0, done.said
        assert said in done.said or said in shop.make(job), done.said
        assert tag not in shop.tags()
        jobs = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"]
        assert job in jobs["push"]["needs"]
    finally:
        shop.take_back()


def test_a_vulnerable_dependency_is_red_and_nothing_is_pushed(shop: Shop, known: dict[str, list[str]]) -> None:
    shop.change("another")
    tag = shop.commit("Change a word")
    known["starlette"] = ["GHSA-0000-0000-0001"]
    try:
        done = shop.run("ci", "push", {}, job="push", signer="ci")
        assert done.code != 0, done.said
        assert "GHSA-0000-0000-0001" in done.said
        assert tag not in shop.tags()
    finally:
        known.clear()
        shop.take_back()


def test_a_pull_request_that_names_an_image_without_proof_is_red_and_told_what_is_missing(shop: Shop) -> None:
    image = yaml.safe_load((shop.directory / "Pulumi.prod.yaml").read_text())["config"]["slipway:images"]["hello"]
    shop.replace("Pulumi.prod.yaml", image, f"hello:v9.9.9@sha256:{'0' * 64}")
    shop.commit("Have it in prod at once")
    try:
        done = shop.pull_request("proof")
        assert done.code != 0, done.said
        assert "v9.9.9" in done.said
    finally:
        shop.take_back()
