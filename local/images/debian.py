"""A base image with Python, made from Debian packages where no image registry can be reached.

Packages are extracted, not installed: no maintainer script runs, so there is nothing of this machine and no time in the
result, and no shell, package manager or pip in what services run on. What scanners look for, the list of packages, is
written where they find it (`/var/lib/dpkg/status.d`, as in distroless images).
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from adapters.command import run
from adapters.errors import MachineUnfit
from local.images import oci

SUITE, VERSION = "bookworm", "12"
RUNTIME_PACKAGES = ("ca-certificates", "libpython3-stdlib", "media-types", "python3-minimal", "tzdata")
BUILDER_PACKAGES = (*RUNTIME_PACKAGES, "coreutils", "dash", "findutils", "grep", "python3-pip", "sed")
"""What a Dockerfile's build stage stands on: pip, a shell and its usual tools besides."""

_CERTIFICATES = "usr/share/ca-certificates/mozilla/"
_KEPT_DOCUMENTATION = re.compile(r"usr/share/doc/[^/]+(/copyright)?")
# Documentation, translations, character sets and the package manager's own files: nothing a service reads. /etc/apt and
# the lists would also name the mirror of the machine that built the image.
_LEFT_OUT = re.compile(
    r"(dev|proc|sys|run|etc/apt|var/cache|var/log|var/lib/apt|usr/lib/[^/]+/gconv"
    r"|usr/share/(doc|man|info|locale|lintian|bash-completion|perl5|doc-base|pixmaps|applications)"
    r"|usr/lib/python3\.\d+/(pydoc_data|__pycache__/pydoc.*)"
    r"|usr/share/ca-certificates)(/.*)?"
)
_PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
_GROUP = b"root:x:0:\nnonroot:x:65532:\n"
# Without it scanners know the packages but not the distribution they are of, and find none of its vulnerabilities.
_OS_RELEASE = (
    f'PRETTY_NAME="Debian GNU/Linux {VERSION} ({SUITE})"\nNAME="Debian GNU/Linux"\nID=debian\n'
    f'VERSION_ID="{VERSION}"\nVERSION="{VERSION} ({SUITE})"\nVERSION_CODENAME={SUITE}\n'
)

# `$1` is the root. Standard library bytecode is valid by content, so that it has no time in it.
_HOOK = """
set -eu
mkdir -p "$1/var/lib/dpkg/status.d"
for package in "$1"/var/cache/apt/archives/*.deb; do
  dpkg-deb --field "$package" > "$1/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done
PYTHONHASHSEED=0 chroot "$1" /usr/bin/python3 -m compileall -qq --invalidation-mode=unchecked-hash /usr/lib/python3* \
  -x 'lib2to3|distutils|pydoc_data|/test'
"""


def write_base(archive: Path, name: str, packages: tuple[str, ...]) -> None:
    """Make the base image called `name` of `packages` and what they depend on; takes some 10 s."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        root = Path(scratch) / "root.tar"
        run(
            [
                "mmdebstrap",
                "--mode=root",
                "--variant=extract",
                "--format=tar",
                f"--include={','.join(packages)}",
                f"--extract-hook={_HOOK}",
                SUITE,
                str(root),
                "-",
            ],
            stdin=apt_sources(),
            env={"SOURCE_DATE_EPOCH": "0", "TMPDIR": scratch},
        )
        content = _layer_of(root)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    oci.write_archive(archive, name, content, {"Env": [f"PATH={path}", "LANG=C.UTF-8"], "Cmd": ["python3"]})


def apt_sources() -> str:
    """This machine's own Debian sources for `SUITE`, its updates and security updates, in one-line format."""
    lines = _listed_sources()
    if not lines:
        # A machine's image often comes without package lists, and only they say whose packages a source has.
        run(["apt-get", "update"])
        lines = _listed_sources()
    if not any(f" {SUITE} " in line for line in lines):
        raise MachineUnfit(f"apt knows no packages of Debian {SUITE}", fix="Add Debian's sources to /etc/apt")
    return "\n".join(lines) + "\n"


def _listed_sources() -> list[str]:
    wanted = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    targets = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI) $(COMPONENT)"]
    listed = [line.split() for line in run([*targets, "Created-By: Packages", "Origin: Debian"]).splitlines()]
    return sorted({f"deb {uri} {codename} {component}" for codename, uri, component in listed if codename in wanted})


def _layer_of(root: Path) -> bytes:
    """The root file system as a layer: without what nobody reads, and with the few files that scripts would make."""
    buffer, certificates = io.BytesIO(), []
    with tarfile.open(root) as source, tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as target:
        for member in source:
            member.name = member.name.removeprefix("./")
            content = source.extractfile(member) if member.isreg() else None
            if member.name.startswith(_CERTIFICATES) and content is not None:
                certificates.append(content.read())
            elif _is_wanted(member.name):
                member.mtime, member.uname, member.gname, member.pax_headers = 0, "", "", {}
                target.addfile(member, content)
        for file in _made(b"".join(certificates)):
            member = tarfile.TarInfo(file.path)
            member.mode, member.size = file.mode, len(file.content)
            target.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()


def _is_wanted(path: str) -> bool:
    return path not in ("", ".") and (bool(_KEPT_DOCUMENTATION.fullmatch(path)) or not _LEFT_OUT.fullmatch(path))


def _made(certificates: bytes) -> Iterator[oci.File]:
    yield oci.File("etc/passwd", _PASSWD)
    yield oci.File("etc/group", _GROUP)
    yield oci.File("etc/os-release", _OS_RELEASE.encode())
    yield oci.File("etc/ssl/certs/ca-certificates.crt", certificates)
