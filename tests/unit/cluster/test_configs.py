"""What the components are told, where a slip would open a door or change the host."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from adapters.errors import BadInput
from local.cluster import Mirror, binaries, configs
from local.cluster.addons import addons
from local.cluster.components import Component, components
from local.cluster.spec import DNS_ADDRESS, NODE_ADDRESS, Layout

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns")


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return Layout("test")


@pytest.fixture
def by_name(layout: Layout) -> dict[str, Component]:
    found = components(layout, {name: Path("/bin") / name for name in PROGRAMS}, ("python", "-m"))
    return {component.name: component for component in found}


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a-", "a/b", "..", "a" * 33])
def test_a_name_that_is_no_name_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(BadInput, match="lower-case letters"):
        Layout(name)


def test_clusters_of_one_name_in_two_places_have_cgroups_of_their_own(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = layout.cgroup
    monkeypatch.setenv("SLIPWAY_STATE_DIR", "/elsewhere")
    assert layout.cgroup != first


def test_nobody_is_anonymous(layout: Layout, by_name: dict[str, Component]) -> None:
    apiserver = by_name["kube-apiserver"].argv
    assert {"--anonymous-auth=false", "--authorization-mode=Node,RBAC"} <= set(apiserver)
    assert "--enable-admission-plugins=NodeRestriction" in apiserver
    kubelet = yaml.safe_load(configs.kubelet(layout))
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert "readOnlyPort" not in kubelet
    assert {"--client-cert-auth=true", "--peer-client-cert-auth=true"} <= set(by_name["etcd"].argv)


def test_every_flag_names_a_file_instead_of_holding_a_secret(layout: Layout, by_name: dict[str, Component]) -> None:
    for component in by_name.values():
        for flag in component.argv:
            assert "BEGIN" not in flag
            if "key-file" in flag or "private-key" in flag:
                assert flag.partition("=")[2].startswith(str(layout.pki))


def test_every_component_waits_for_ones_that_exist(by_name: dict[str, Component]) -> None:
    for component in by_name.values():
        assert {name for name in component.after if "/" not in name} <= set(by_name)


def test_the_limits_of_the_machine_stay_as_they_are(layout: Layout) -> None:
    proxy = yaml.safe_load(configs.kube_proxy(layout))
    assert proxy["conntrack"]["maxPerCore"] == proxy["conntrack"]["min"] == 0
    assert proxy["nodePortAddresses"] == ["primary"]


def test_containerd_is_told_the_sandbox_image_and_where_registries_are(layout: Layout) -> None:
    config = tomllib.loads(configs.containerd(layout, "slipway.local/pause:3.10"))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "slipway.local/pause:3.10"
    assert cri["registry"]["config_path"] == str(layout.certs_d)
    assert cri["disable_apparmor"]


def test_pods_are_routed_and_not_bridged() -> None:
    assert [plugin["type"] for plugin in json.loads(configs.cni())["plugins"]] == ["ptp", "portmap"]


def test_mirrors_are_written_and_those_no_longer_named_are_removed(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("the authority")
    mirrors = tuple(
        Mirror(host, "https://10.0.0.1:5000", tmp_path / "ca.pem") for host in ("one.test", "two.test:5000")
    )
    configs.write_mirrors(layout, mirrors)
    hosts = tomllib.loads((layout.certs_d / "two.test:5000" / "hosts.toml").read_text())
    (endpoint,) = hosts["host"].items()
    assert endpoint[0] == "https://10.0.0.1:5000"
    assert "push" not in endpoint[1]["capabilities"]
    assert Path(endpoint[1]["ca"]).read_text() == "the authority"
    configs.write_mirrors(layout, mirrors[:1])
    assert [folder.name for folder in layout.certs_d.iterdir()] == ["one.test"]


def test_dns_is_a_service_whose_one_endpoint_is_the_node(layout: Layout) -> None:
    objects = {(obj["kind"], obj["metadata"]["name"]): obj for obj in addons()}
    assert objects["Service", "kube-dns"]["spec"]["clusterIP"] == DNS_ADDRESS
    assert objects["EndpointSlice", "kube-dns-node"]["endpoints"][0]["addresses"] == [NODE_ADDRESS]
    assert yaml.safe_load(configs.kubelet(layout))["clusterDNS"] == [DNS_ADDRESS]
    assert f"bind {NODE_ADDRESS}" in configs.corefile(layout)


def test_the_version_of_kubernetes_is_the_pinned_one() -> None:
    assert binaries.kubernetes_version() == "v1.36.3"
