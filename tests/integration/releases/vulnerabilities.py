"""Small vulnerability databases that Slipway's tests make up: of no use for anything else, and labelled so.

For grype a database of its schema 6.1 (grype's module, `grype/db/v6/models.go`), imported by grype itself; for
pip-audit a service that answers like OSV (https://google.github.io/osv.dev/post-v1-query/).
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from adapters.command import run

MADE_UP = "made up by Slipway's tests"

# Only the tables that have rows: grype adds the others when it imports the database.
_TABLES = """
create table blobs (id integer primary key, value text not null);
create table db_metadata (build_timestamp datetime not null, model integer not null, revision integer not null,
  addition integer not null);
create table providers (id text primary key, version text, processor text, date_captured datetime, input_digest text);
create table vulnerability_handles (id integer primary key, name text not null, status text not null,
  published_date datetime, modified_date datetime, withdrawn_date datetime, provider_id text not null,
  blob_id integer unique);
create table packages (id integer primary key, ecosystem text, name text);
create table operating_systems (id integer primary key, name text, release_id text, major_version text,
  minor_version text, label_version text, codename text, channel text, eol_date datetime, eoas_date datetime);
create table affected_package_handles (id integer primary key, vulnerability_id integer not null,
  operating_system_id integer, package_id integer, blob_id integer);
"""


@dataclass(frozen=True)
class Vulnerability:
    """One that all versions of a package have; `ecosystem` is `python`, or `deb` for a package of Debian 12."""

    id: str
    package: str
    severity: str = "high"
    fixed: str | None = None
    ecosystem: str = "python"


def make_database(folder: Path, grype: Path, vulnerabilities: Sequence[Vulnerability], *, sources: bool = True) -> Path:
    """A database of these vulnerabilities in the form that grype keeps; what GRYPE_DB_CACHE_DIR is to be."""
    folder.mkdir(parents=True)
    path, archive, cache = folder / "vulnerability.db", folder / "database.tar.gz", folder / "cache"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S+00:00")
    connection = sqlite3.connect(path)
    connection.executescript(_TABLES)
    connection.execute("insert into db_metadata values (?, 6, 1, 10)", (now,))
    connection.execute(
        "insert into operating_systems values (1, 'debian', 'debian', '12', '', '', 'bookworm', '', null, null)"
    )
    if sources:
        connection.execute("insert into providers values (?, '1', ?, ?, 'sha256:00')", ("slipway-tests", MADE_UP, now))
    for number, vulnerability in enumerate(vulnerabilities, 1):
        _insert(connection, number, vulnerability, now)
    connection.commit()
    connection.close()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(path, "vulnerability.db")
    run([str(grype), "db", "import", str(archive)], env={**environment(cache), "HOME": str(folder)})
    return cache


def environment(cache: Path) -> dict[str, str]:
    """What makes grype look into this database and nowhere else."""
    return {"GRYPE_DB_CACHE_DIR": str(cache), "GRYPE_DB_AUTO_UPDATE": "false", "GRYPE_CHECK_FOR_APP_UPDATE": "false"}


def _insert(connection: sqlite3.Connection, number: int, vulnerability: Vulnerability, now: str) -> None:
    severity = {"scheme": "CHMLN", "value": vulnerability.severity, "rank": 1}
    told = {"id": vulnerability.id, "description": MADE_UP, "severities": [severity]}
    kind = "dpkg" if vulnerability.ecosystem == "deb" else "python"
    limit = f"< {vulnerability.fixed}" if vulnerability.fixed else ""
    fix = {"version": vulnerability.fixed, "state": "fixed"} if vulnerability.fixed else {"state": "not-fixed"}
    affected = {"cves": [vulnerability.id], "ranges": [{"version": {"type": kind, "constraint": limit}, "fix": fix}]}
    blobs = (2 * number - 1, json.dumps(told)), (2 * number, json.dumps(affected))
    connection.executemany("insert into blobs values (?, ?)", blobs)
    connection.execute(
        "insert into vulnerability_handles values (?, ?, 'active', ?, ?, null, 'slipway-tests', ?)",
        (number, vulnerability.id, now, now, 2 * number - 1),
    )
    package = (vulnerability.ecosystem, vulnerability.package)
    known = connection.execute("select id from packages where ecosystem = ? and name = ?", package).fetchone()
    if known is None:
        connection.execute("insert into packages values (?, ?, ?)", (number, *package))
    system = 1 if vulnerability.ecosystem == "deb" else None
    connection.execute(
        "insert into affected_package_handles values (?, ?, ?, ?, ?)",
        (number, number, system, known[0] if known else number, 2 * number),
    )


@contextmanager
def osv_service(vulnerabilities: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """A service that knows the vulnerabilities (ids) of packages; what makes pip-audit ask it and nobody else."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = [_osv(name, asked["package"]["name"]) for name in vulnerabilities.get(asked["package"]["name"], ())]
            answer = json.dumps({"vulns": known} if known else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield {
            "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
            "PIP_AUDIT_OSV_URL": f"http://127.0.0.1:{server.server_port}/v1/query",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _osv(name: str, package: str) -> dict[str, object]:
    affected = {"package": {"name": package, "ecosystem": "PyPI"}, "ranges": [], "versions": []}
    return {"id": name, "summary": MADE_UP, "details": MADE_UP, "aliases": [], "affected": [affected]}
