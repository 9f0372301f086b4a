"""The local platform's configuration directory: made from the committed stack files, then a git repository of its own.

So the checkout stays clean, while what runs here is still what a file says: `slipway:images` of a stack is changed in
this directory, by commands or by hand, and its history is git's. What a checkout cannot hold is made here once: a
passphrase, a salt, passwords, the registry's certificate, keys that sign.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import passphrase as passphrases
from adapters import yamledit
from adapters.command import run
from adapters.errors import SlipwayError
from adapters.passphrase import Passphrase
from adapters.paths import REPOSITORY, state_dir
from adapters.stackfile import StackFile, stack_names, stack_path
from local.platform.receiver import ADDRESS, URL, Receiver
from local.platform.signers import Signers
from local.private import save_private

if TYPE_CHECKING:
    from local.certificates import Authority

REGISTRY_CA = "registry-ca.pem"
_KEY_KEPT_S = 600
_AUTHORITY, _REGISTRY = "registry-ca", "registry"
_PASSWORD_BYTES = 24
_THIS_MACHINE = "127.0.0.1:"
_AUTHOR = ["-c", "user.name=slipway", "-c", "user.email=slipway@localhost", "-c", "commit.gpgsign=false"]


_IN_A_CLUSTER = ("shared", "environment", "monitoring")
_USES_THE_REGISTRY = ("shared", "environment")
_MADE_HERE = "slipway.local/"


@dataclass(frozen=True)
class Here:
    """What holds on this machine."""

    cluster: Mapping[str, str]
    """The stacks' `slipway:cluster`."""
    push: str
    """The registry's address on this machine."""
    registry_names: list[str]
    """All that the registry's certificate must hold for."""
    images: Mapping[str, Mapping[str, str]]
    """What the platform itself runs in place of public images, by a stack's kind."""


class Configuration:
    """The configuration directory and the secrets that open it."""

    def __init__(self) -> None:
        self.directory = state_dir() / "config"
        self._passphrase_file = state_dir() / "passphrase"
        self._authority_directory = state_dir() / "authority"
        self.signers = Signers(state_dir() / "signers")

    @property
    def exists(self) -> bool:
        """Whether it was generated."""
        return self.directory.is_dir()

    @property
    def ca(self) -> Path:
        """The certificate of the authority that clients of the registry trust."""
        return self._authority_directory / f"{_AUTHORITY}.crt"

    @property
    def env(self) -> Mapping[str, str]:
        """What Pulumi's engines need to open the stacks; holds names of files, no secret."""
        return {
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self._passphrase_file),
            "PULUMI_BACKEND_URL": f"file://{state_dir() / 'backend'}",
        }

    def authority(self) -> Authority:
        """The authority, made when there is none."""
        from local.certificates import Authority  # noqa: PLC0415 - takes time to load, and few commands make any

        return Authority.open(self._authority_directory, _AUTHORITY)

    def stack(self, name: str) -> StackFile:
        """A stack's file."""
        return StackFile.load(stack_path(self.directory, name))

    def stacks(self) -> list[str]:
        """The names of the stacks there are."""
        return stack_names(self.directory)

    def crypter(self) -> Passphrase:
        """Opens the secrets of every stack: they share a salt, so that opening costs a third of a second only once."""
        return Passphrase.open(*self._opened_by())

    def open_ahead(self) -> None:
        """Let the key that `crypter` will want be derived meanwhile, where there is a stack to open.

        It is kept for the next command: the passphrase lies in a file that whoever could read the key can read.
        """
        if self.exists and self.stacks():
            passphrases.derive_ahead(*self._opened_by(), kept_s=_KEY_KEPT_S)

    def _opened_by(self) -> tuple[str, str]:
        salt = self.stack(self.stacks()[0]).encryption_salt or ""
        return self._passphrase_file.read_text(encoding="utf-8"), salt

    def generate(self, here: Here) -> None:
        """Make the directory: it is there whole or not at all."""
        state_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
        (state_dir() / "backend").mkdir(exist_ok=True, mode=0o700)
        unfinished = Configuration()
        unfinished.directory = state_dir() / ".config-unfinished"
        shutil.rmtree(unfinished.directory, ignore_errors=True)
        unfinished.directory.mkdir()
        unfinished._fill(here)
        unfinished.directory.rename(self.directory)

    def _fill(self, here: Here) -> None:
        passphrase = secrets.token_urlsafe(_PASSWORD_BYTES)
        save_private(self._passphrase_file, passphrase.encode())
        crypter, salt = Passphrase.create(passphrase)
        credentials = _credentials(crypter)
        (self.directory / REGISTRY_CA).write_text(self.authority().pem, encoding="ascii")
        self._write_project()
        for path in _committed():
            self._add(path, here, salt, credentials)
        self._receive_alerts(crypter)
        self._certify(here.registry_names, crypter)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("config", "commit.gpgsign", "false")  # nobody is asked for a passphrase, whoever commits here
        self.commit("Begin with the committed stack files, and secrets of this machine's own")

    def refresh(self, here: Here) -> None:
        """What may have changed since: the checkout, a certificate that ends within a month, signers' keys.

        What somebody edited and did not commit gets a commit of its own first, which says so.
        """
        self.commit("Keep what was edited by hand")
        self._write_project()
        (self.directory / REGISTRY_CA).write_text(self.authority().pem, encoding="ascii")
        if self._certify(here.registry_names):
            self.commit("Renew the registry's certificate")
        self._begin_anew(here)
        self._add_new_stacks(here)
        for stack in self.stacks():
            file = self.stack(stack)
            _follow_checkout(file, here)
            self._trust_signers(file)
            file.save()
        self._receive_alerts()
        self.commit("Follow the checkout, and trust the signatures made on this machine")

    def _begin_anew(self, here: Here) -> None:
        """Where the cluster was made anew, its registry is at another port and empty: what was in it is gone.

        So environments begin once more with the services of this checkout. What people said of releases stays.
        """
        for stack in self.stacks():
            file = self.stack(stack)
            present = str(file.get(["registry", "push"]) or "")
            if present.startswith(_THIS_MACHINE) and present != here.push:
                file.set(["registry", "push"], here.push)
                for key in ("images", "baking"):
                    file.delete([key])
                file.save()
        self.commit("Begin anew: the cluster is another one, and the registry of the one before went with it")

    def _add(self, committed: Path, here: Here, salt: str, credentials: Mapping[str, Any]) -> None:
        """Make a committed stack file one of this machine."""
        # Editors look for the schema beside the file; here it is in the checkout.
        text = committed.read_text(encoding="utf-8").replace("$schema=", f"$schema={REPOSITORY}/")
        (self.directory / committed.name).write_text(text, encoding="utf-8")
        file = StackFile.load(self.directory / committed.name)
        for rules in _rule_files(file):
            (self.directory / rules).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / rules, self.directory / rules)
        file.encryption_salt = salt
        kind = file.get(["kind"])
        if kind in _IN_A_CLUSTER:
            file.set(["cluster"], dict(here.cluster))
            file.set(["registry", "push"], here.push)
            file.set(["registry", "ca"], REGISTRY_CA)
        if kind in _USES_THE_REGISTRY:
            file.set(["registryCredentials"], dict(credentials))
        self._trust_signers(file)
        _follow_checkout(file, here)
        file.save()

    def _add_new_stacks(self, here: Here) -> None:
        """Those committed since the directory was made; one that was here and is gone was taken away by somebody."""
        new = [path for path in _committed() if not self._git("log", "-1", "--format=%h", "--", path.name)]
        if not new:
            return
        known = next(file for file in map(self.stack, self.stacks()) if file.get(["registryCredentials"]))
        for path in new:
            self._add(path, here, known.encryption_salt or "", known.get(["registryCredentials"]))
        self.commit("Add stacks that are new in the checkout")

    def _certify(self, names: list[str], crypter: Passphrase | None = None) -> bool:
        """Give the registry a certificate unless it has a good one; says whether it did."""
        certified = False
        for file in map(self.stack, self.stacks()):
            registry = file.get(["registry", "inCluster"])
            if registry is None or self._is_good(registry.get("certificate")):
                continue
            certificate = self.authority().issue(_REGISTRY, hosts=names)
            sealed = (crypter or self.crypter()).encrypt(certificate.key)
            file.set(["registry", "inCluster", "certificate"], certificate.certificate)
            file.set(["registry", "inCluster", "key"], {"secure": sealed})
            file.save()
            certified = True
        return certified

    def _is_good(self, certificate: str | None) -> bool:
        return certificate is not None and self.authority().vouches_for(certificate)

    def commit(self, message: str) -> None:
        """Commit whatever changed in the directory."""
        if self._git("status", "--porcelain"):
            self._git("add", "--all")
            self._git(*_AUTHOR, "commit", "--quiet", f"--message={message}")

    def remove(self) -> None:
        """Remove it with all its secrets, and what runs on it."""
        with contextlib.suppress(SlipwayError, OSError):  # what nobody can read any more is no reason to stay
            if self.exists and self.stacks():
                passphrases.forget(*self._opened_by())
        for directory in (self.directory, self._authority_directory, state_dir() / "backend"):
            shutil.rmtree(directory, ignore_errors=True)
        self._passphrase_file.unlink(missing_ok=True)
        self.signers.remove()
        Receiver().stop()

    def _trust_signers(self, file: StackFile) -> None:
        """Let an environment trust this machine's signers, unless it does, perhaps by other names and roles."""
        if file.get(["kind"]) != "environment":
            return
        trusted = {signer.get("key") for signer in (file.get(["signers"]) or {}).values()}
        if not trusted:
            file.set(["signers"], None)  # or a `{}` would be filled between its braces
        for name, entry in self.signers.entries().items():
            if entry["key"] not in trusted:
                file.set(["signers", name], entry)

    def _receive_alerts(self, crypter: Passphrase | None = None) -> None:
        """Have Alertmanager call the receiver beside the platform, unless somebody has named another one."""
        key, receiver = ["alertmanager", "rollback"], Receiver()
        for file in map(self.stack, self.stacks()):
            named = file.get(key) or {"metrics": ADDRESS}
            is_known = bool(file.get(key)) and receiver.token_file.exists()
            if file.get(["kind"]) != "monitoring" or named.get("metrics") != ADDRESS or is_known:
                continue
            opener = crypter or self.crypter()
            sealed = {"url": URL, "token": receiver.new_token()}
            secret = {name: {"secure": opener.encrypt(value)} for name, value in sealed.items()}
            file.set(key, secret | {"metrics": ADDRESS})
            file.save()

    def _write_project(self) -> None:
        """`Pulumi.yaml`, with the program where this checkout is."""
        text = (REPOSITORY / "Pulumi.yaml").read_text(encoding="utf-8")
        project: dict[str, Any] = yamledit.parse(text)
        project["main"] = str(REPOSITORY)
        if isinstance(project["runtime"], dict) and "virtualenv" in project["runtime"].get("options", {}):
            project["runtime"]["options"]["virtualenv"] = str(REPOSITORY / ".venv")
        wanted = yamledit.edit(text, project)
        target = self.directory / "Pulumi.yaml"
        if not target.exists() or target.read_text(encoding="utf-8") != wanted:
            target.write_text(wanted, encoding="utf-8")

    def _git(self, *args: str) -> str:
        return run(["git", "-C", str(self.directory), *args])


def _committed() -> list[Path]:
    return sorted(REPOSITORY.glob("Pulumi.*.yaml"))


def _rule_files(file: StackFile) -> list[str]:
    """What a stack file names beside itself: rules of services."""
    services = file.get(["services"]) or {}
    return [path for service in services.values() for path in service.get("rules", ())]


def _follow_checkout(file: StackFile, here: Here) -> None:
    """Images made here, of this checkout's versions; and what the monitoring has come to know since.

    Other keys that a stack lacks are left so: people take a gate away, and no part of the monitoring.
    """
    kind = str(file.get(["kind"]))
    for name, image in here.images.get(kind, {}).items():
        if str(file.get(["platformImages", name]) or _MADE_HERE).startswith(_MADE_HERE):
            file.set(["platformImages", name], image)
    committed = REPOSITORY / file.path.name
    if kind == "monitoring" and committed.is_file():
        for key, value in StackFile.load(committed).config.items():
            if file.get([key]) is None:
                file.set([key], value)


def _credentials(crypter: Passphrase) -> dict[str, Any]:
    return {
        role: {
            "username": role,
            "password": {"secure": crypter.encrypt(secrets.token_urlsafe(_PASSWORD_BYTES))},
        }
        for role in ("push", "pull")
    }
