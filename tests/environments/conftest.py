"""What a suite of an environment is given: the environment, and a client for each of its services.

The suites below are plain pytest, and what a team extends: a folder is a suite (`smoke`, `regression`, one of your
own), a file in it tests one service. `slipway verify STACK SUITE` runs a suite and signs its result; by hand it is

    python -m pytest tests/environments/smoke --environment stage \\
        --url hello=http://127.0.0.1:8080 --release hello=0123456789ab

    --url SERVICE=URL           where a service is reached; again for each service
    --release SERVICE=DIGITS    the first 12 hex digits of the digest it is expected to run; may be left out
    --control SERVICE=DIGITS    those of the release before, where a pod of it serves beside the expected one
    --environment NAME          the environment's name; may be left out

The same can be given by SLIPWAY_URLS, SLIPWAY_RELEASES and SLIPWAY_CONTROLS (`hello=…`, parted by spaces) and
SLIPWAY_ENVIRONMENT, which is what `slipway verify` does. Without any URL there is nothing to test: everything is
skipped, and says so.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx2
import pytest

_TIMEOUT_S = 10.0
_TRIES = 50


@dataclass(frozen=True)
class Service:
    """A running service. `release` is what it is expected to run, None if nobody said.

    `control` is the release before, one pod of which serves beside it while it bakes; None if none does.
    """

    name: str
    url: str
    release: str | None
    control: str | None

    def connect(self, *, anew: bool = False) -> httpx2.Client:
        """A client that keeps its connection, or with `anew` opens one for each request, which may go to any pod."""
        url = httpx2.URL(self.url)
        # What a proxy is set up for is the world outside; this machine is not.
        is_here = url.host in ("localhost", "::1") or url.host.startswith("127.")
        trust = _authorities() if url.scheme == "https" else False  # read once: it takes longer than a request
        limits = httpx2.Limits(max_keepalive_connections=0 if anew else None)
        return httpx2.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=not is_here, verify=trust, limits=limits)


@dataclass(frozen=True)
class Environment:
    """The environment under test."""

    name: str | None
    services: Mapping[str, Service] = field(default_factory=dict)

    def service(self, name: str) -> Service:
        """A service of it; a test of one that is not reached here is skipped."""
        if name not in self.services:
            pytest.skip(f"no address of the service {name} was given (--url {name}=URL)")
        return self.services[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("environment")
    group.addoption("--url", action="append", default=[], metavar="SERVICE=URL", help="where a service is reached")
    group.addoption("--release", action="append", default=[], metavar="SERVICE=DIGITS", help="what it should run")
    group.addoption("--control", action="append", default=[], metavar="SERVICE=DIGITS", help="what serves beside it")
    group.addoption("--environment", metavar="NAME", help="the name of the environment")


@pytest.fixture(scope="session")
def environment(pytestconfig: pytest.Config) -> Environment:
    """The environment that was named."""
    urls = _pairs(pytestconfig, "--url", "SLIPWAY_URLS")
    if not urls:
        pytest.skip("no environment was named: `slipway verify STACK SUITE` does, or --url SERVICE=URL")
    releases = _pairs(pytestconfig, "--release", "SLIPWAY_RELEASES")
    controls = _pairs(pytestconfig, "--control", "SLIPWAY_CONTROLS")
    name = pytestconfig.getoption("--environment", None) or os.environ.get("SLIPWAY_ENVIRONMENT") or None
    services = {each: Service(each, url, releases.get(each), controls.get(each)) for each, url in urls.items()}
    return Environment(name, services)


@pytest.fixture(scope="session")
def hello(environment: Environment) -> Service:
    """The service hello."""
    return environment.service("hello")


@pytest.fixture
def client(hello: Service) -> Iterator[httpx2.Client]:
    """A client of hello that keeps its connection: to the release under test, rather than to a control beside it."""
    for _ in range(_TRIES if hello.control else 1):
        with hello.connect() as client:
            if hello.control is None or client.get("/version").json().get("release") != hello.control:
                yield client
                return
    pytest.fail(f"{_TRIES} connections were all answered by the control, {hello.control}")


@functools.cache
def _authorities() -> ssl.SSLContext:
    """The authorities that this system trusts; SSL_CERT_FILE names others, such as a company's own."""
    return ssl.create_default_context()


def _pairs(config: pytest.Config, option: str, variable: str) -> dict[str, str]:
    # Of a run over all tests of the repository this is not the first conftest.py, so that it may add no options.
    given: Sequence[str] = config.getoption(option, None) or os.environ.get(variable, "").split()
    pairs = dict(pair.partition("=")[::2] for pair in given)
    if wrong := [service for service, value in pairs.items() if not (service and value)]:
        raise pytest.UsageError(f"{option} takes SERVICE=VALUE, and {wrong[0]!r} is not")
    return pairs
