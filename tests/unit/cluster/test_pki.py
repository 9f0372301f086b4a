"""What the certificates of a cluster say, checked as whoever relies on them does."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from local.cluster import pki
from local.cluster.spec import NODE_ADDRESS

LEAVES = pki.leaves("slipway-test")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster") / "pki"
    pki.write(directory, "slipway-test")
    return directory


def certificate(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


def usages(found: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_a_certificate_is_signed_by_its_authority_and_by_no_other(directory: Path, leaf: pki.Leaf) -> None:
    authorities = {name: certificate(directory, name) for name in (pki.CLUSTER, pki.ETCD, pki.FRONT_PROXY)}
    found = certificate(directory, leaf.name)
    found.verify_directly_issued_by(authorities.pop(leaf.authority))
    for other in authorities.values():
        with pytest.raises(ValueError, match=r"[Ii]ssuer"):
            found.verify_directly_issued_by(other)


def test_servers_are_known_by_the_names_they_are_called_by(directory: Path) -> None:
    builder = PolicyBuilder().store(Store([certificate(directory, pki.CLUSTER)]))
    names = {
        "apiserver": ["kubernetes.default.svc", "localhost"],
        "kubelet-serving": ["slipway-test"],
        "scheduler-serving": ["localhost"],
    }
    for name, hosts in names.items():
        for host in hosts:
            builder.build_server_verifier(x509.DNSName(host)).verify(certificate(directory, name), [])
    addresses = certificate(directory, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert NODE_ADDRESS in {str(ip) for ip in addresses.value.get_values_for_type(x509.IPAddress)}


def test_what_identifies_a_client_cannot_serve(directory: Path) -> None:
    clients = [leaf.name for leaf in LEAVES if not leaf.hosts]
    assert {"admin", "kubelet", "proxy", "monitor"} <= set(clients)
    for name in clients:
        assert usages(certificate(directory, name)) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_only_the_administrator_may_do_everything(directory: Path) -> None:
    mighty = [leaf.name for leaf in LEAVES if "system:masters" in leaf.organizations]
    assert mighty == ["admin"]
    names = certificate(directory, "kubelet").subject
    assert [name.value for name in names.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:slipway-test"]
    assert [name.value for name in names.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]


def test_nobody_else_can_read_a_file(directory: Path) -> None:
    files = list(directory.iterdir())
    assert len(files) > 2 * len(LEAVES)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_a_new_start_keeps_what_stored_things_depend_on_and_renews_the_rest(tmp_path: Path) -> None:
    pki.write(tmp_path, "node")
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    pki.write(tmp_path, "node")
    second = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert first.keys() == second.keys()
    kept = {name for name in first if first[name] == second[name]}
    authorities = {f"{name}.{kind}" for name in (pki.CLUSTER, pki.ETCD, pki.FRONT_PROXY) for kind in ("crt", "key")}
    assert kept == authorities | {"service-account.key", "service-account.pub", "encryption.yaml"}
