"""Kubeconfigs as people have them: chosen contexts, files beside them, credential plugins, proxies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from adapters.errors import BadInput
from adapters.kubeconfig import Target, open_client
from local.certificates import Authority


@pytest.fixture
def connect() -> Iterator[Callable[..., tuple[httpx2.Client, Target]]]:
    clients: list[httpx2.Client] = []

    def opened(kubeconfig: str | None, context: str | None = None) -> tuple[httpx2.Client, Target]:
        client, target = open_client(kubeconfig, context)
        clients.append(client)
        return client, target

    yield opened
    for client in clients:
        client.close()


@pytest.fixture(autouse=True)
def _no_kubeconfig_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def _write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def _contexts(current: str | None, **servers: str) -> str:
    return yaml.safe_dump(
        {
            "current-context": current,
            "clusters": [{"name": name, "cluster": {"server": server}} for name, server in servers.items()],
            "contexts": [{"name": name, "context": {"cluster": name}} for name in servers],
            "users": None,
        }
    )


def test_a_missing_file_is_named_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing/config: there is no such kubeconfig.*slipway cluster up"):
        open_client(str(tmp_path / "nothing" / "config"), None)
    with pytest.raises(BadInput, match=r"~/\.kube/config: there is no such kubeconfig"):
        open_client(None, None)


def test_an_unknown_context_lists_the_valid_ones(tmp_path: Path) -> None:
    path = _write(tmp_path / "config", _contexts("b", b="http://127.0.0.1:1", a="http://127.0.0.1:2"))
    with pytest.raises(BadInput, match=r"config: there is no context 'c'\. Allowed: a, b\."):
        open_client(path, "c")


def test_without_a_context_the_current_one_is_meant(tmp_path: Path, connect: Any) -> None:
    path = _write(tmp_path / "config", _contexts("b", b="http://127.0.0.1:1", a="http://127.0.0.1:2"))
    assert connect(path)[1] == Target("b", "http://127.0.0.1:1")
    assert connect(path, "a")[1] == Target("a", "http://127.0.0.1:2")
    none = _write(tmp_path / "none", _contexts(None, a="http://127.0.0.1:2"))
    with pytest.raises(BadInput, match=r"no context is given and none is current\. Allowed: a"):
        open_client(none, None)


def test_the_environment_may_name_several_files(tmp_path: Path, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = _write(tmp_path / "one", _contexts(None, a="http://127.0.0.1:1"))
    two = _write(tmp_path / "two", _contexts("b", a="http://127.0.0.1:3", b="http://127.0.0.1:2"))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/nothing:{one}:{two}")
    assert connect(None)[1].context == "b"
    assert connect(None, "a")[1].server == "http://127.0.0.1:1"
    with pytest.raises(BadInput, match="Allowed: a, b"):
        open_client(None, "c")


def test_the_default_is_in_the_home_directory(tmp_path: Path, connect: Any) -> None:
    _write(tmp_path / "home" / ".kube" / "config", _contexts("home", home="http://127.0.0.1:1"))
    assert connect(None)[1].context == "home"


@pytest.mark.parametrize("text", ["", "clusters: null\ncontexts: null\nusers: null\n"])
def test_a_kubeconfig_that_is_empty_has_no_contexts(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="the file has no contexts"):
        open_client(_write(tmp_path / "config", text), "a")


@pytest.mark.parametrize(
    "text",
    ["a: [", "- 1\n", "just text", "clusters: 1\n", "contexts:\n- name: a\n", "contexts: [{name: a, context: {}}]"],
)
def test_what_is_no_kubeconfig_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="config: this is not a kubeconfig"):
        open_client(_write(tmp_path / "config", text), None)


def test_a_file_that_is_no_text_is_explained(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="cannot be read"):
        open_client(str(tmp_path / "config"), None)


def test_a_context_whose_cluster_or_user_is_not_there_is_explained() -> None:
    text = "contexts: [{name: a, context: {cluster: lost}}]\ncurrent-context: a\n"
    with pytest.raises(BadInput, match="'a' names 'lost', which is not there"):
        open_client(text, None)


@pytest.mark.parametrize(
    "user",
    [
        {"client-certificate": "no.crt", "client-key": "no.key"},
        {"client-certificate-data": "AAAA"},
        {"tokenFile": "no"},
    ],
)
def test_credentials_that_cannot_be_read_are_explained(
    tmp_path: Path, kubeconfig_of: Any, user: dict[str, str]
) -> None:
    with pytest.raises(BadInput, match="config: "):
        open_client(_write(tmp_path / "config", kubeconfig_of("https://127.0.0.1:1", user=user)), None)


def test_files_are_looked_for_beside_the_kubeconfig(
    tmp_path: Path, serve: Any, authority: Any, kubeconfig_of: Any, connect: Any
) -> None:
    seen: list[str | None] = []

    def answer(exchange: Any) -> None:
        seen.append(exchange.headers["Authorization"])
        exchange.reply(200)

    server = serve(answer, tls=authority.tls)
    _write(tmp_path / "kube" / "ca.crt", authority.pem)
    _write(tmp_path / "kube" / "token", "abc\n")
    text = kubeconfig_of(server.url, {"certificate-authority": "ca.crt"}, {"tokenFile": "token"})
    client, _ = connect(_write(tmp_path / "kube" / "config", text))
    assert client.get("/").status_code == 200
    assert seen == ["Bearer abc"]


def test_the_text_of_a_kubeconfig_has_no_files_beside_it(kubeconfig_of: Any) -> None:
    with pytest.raises(BadInput, match="relative"):
        open_client(kubeconfig_of("https://127.0.0.1:1", {"certificate-authority": "ca.crt"}), None)


def test_a_proxy_is_used_for_other_machines_and_not_for_this_one(
    serve: Any, kubeconfig_of: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxied, direct = [], []
    proxy = serve(lambda exchange: (proxied.append(exchange.path), exchange.reply(200)))
    server = serve(lambda exchange: (direct.append(exchange.path), exchange.reply(200)))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    connect(kubeconfig_of(server.url))[0].get("/here")
    connect(kubeconfig_of(server.url.replace("127.0.0.1", "localhost")))[0].get("/here")
    connect(kubeconfig_of("http://kubernetes.example"))[0].get("/there")
    assert direct == ["/here", "/here"]
    assert proxied == ["http://kubernetes.example/there"]


PLUGIN = """#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" >> asked
echo x >> calls
n=$(wc -l < calls)
echo '{"kind": "ExecCredential", "status": {"token": "'"$1-$WHO-$((n))"'"}}'
"""


def _plugin(tmp_path: Path, kubeconfig_of: Any, server: str, script: str, **more: Any) -> str:
    program = tmp_path / "bin" / "plugin"
    _write(program, script)
    program.chmod(0o755)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./bin/plugin",
        "args": ["arg"],
        "env": [{"name": "WHO", "value": "me"}],
        "interactiveMode": "Never",
        **more,
    }
    return _write(tmp_path / "config", kubeconfig_of(server, user={"exec": plugin}))


def test_a_credential_plugin_is_asked_once_and_again_when_its_token_is_refused(
    tmp_path: Path, serve: Any, kubeconfig_of: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = {"Bearer arg-me-1"}
    server = serve(lambda exchange: exchange.reply(200 if exchange.headers["Authorization"] in accepted else 401))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    client, _ = connect(_plugin(tmp_path, kubeconfig_of, server.url, PLUGIN))
    assert [client.get("/").status_code for _ in range(3)] == [200, 200, 200]
    accepted.clear()
    accepted.add("Bearer arg-me-2")
    assert client.get("/").status_code == 200
    asked = [json.loads(line) for line in (tmp_path / "cwd" / "asked").read_text().splitlines()]
    assert len(asked) == 2
    assert asked[0]["apiVersion"] == "client.authentication.k8s.io/v1"
    assert asked[0]["kind"] == "ExecCredential"
    assert asked[0]["spec"] == {"interactive": False}


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("#!/bin/sh\necho log in first >&2; exit 1\n", "failed.*log in first"),
        ("#!/bin/sh\necho hello\n", "gave no token"),
        ('#!/bin/sh\necho \'{"status": {"clientCertificateData": "x"}}\'\n', "gave no token"),
    ],
)
def test_a_credential_plugin_that_gives_no_token_is_explained(
    tmp_path: Path, kubeconfig_of: Any, connect: Any, script: str, complaint: str
) -> None:
    path = _plugin(tmp_path, kubeconfig_of, "http://127.0.0.1:1", script, installHint="Install it from there")
    with pytest.raises(BadInput, match=f"(?s)./bin/plugin: .*{complaint}.*Install it from there"):
        connect(path)[0].get("/")


def test_a_credential_plugin_that_is_not_installed_is_named_with_its_hint(kubeconfig_of: Any, connect: Any) -> None:
    plugin = {"apiVersion": "v1", "command": "no-such-plugin", "installHint": "Install it from there"}
    with pytest.raises(BadInput, match=r"no-such-plugin.*Install it from there"):
        connect(kubeconfig_of("http://127.0.0.1:1", user={"exec": plugin}))[0].get("/")


def test_a_pod_without_a_kubeconfig_is_its_service_account(
    tmp_path: Path, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("a-token")
    (tmp_path / "namespace").write_text("monitoring")
    (tmp_path / "ca.crt").write_text(Authority.open(tmp_path / "authority", "ca").pem)
    monkeypatch.setattr("adapters.kubeconfig._SERVICE_ACCOUNT", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    _, target = connect(None)
    assert target.server == "https://10.96.0.1:443"
    with pytest.raises(BadInput, match="no context 'elsewhere'"):
        connect(None, "elsewhere")
    with pytest.raises(BadInput, match="no such kubeconfig"):
        connect(str(tmp_path / "not-there"))
