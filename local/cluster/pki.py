"""The cluster's keys and certificates.

Three authorities, because whoever trusts one must not take the others' word: the cluster's own (API server, kubelet
and their clients), etcd's, and that of the aggregation layer. Authorities and the two keys that sign or encrypt what
is stored are made once; certificates are made anew at each start, so that none ever expires in use.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.cluster.spec import API_SERVICE_ADDRESS, DOMAIN, NODE_ADDRESS

_AUTHORITY_LIFE = datetime.timedelta(days=3650)
_CERTIFICATE_LIFE = datetime.timedelta(days=365)
_CLOCK_SKEW = datetime.timedelta(minutes=5)

CLUSTER, ETCD, FRONT_PROXY = "ca", "etcd-ca", "front-proxy-ca"
"""File names of the authorities, without their ending."""


@dataclass(frozen=True)
class Leaf:
    """A certificate to make: who it names, who signs it, and what it serves as, if it serves."""

    name: str
    authority: str
    common_name: str
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def leaves(node: str) -> tuple[Leaf, ...]:
    """Every certificate of a cluster whose only node is `node`."""
    api_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}"]
    local = ("localhost", "127.0.0.1")
    return (
        Leaf("etcd", ETCD, "etcd", hosts=local),
        Leaf("apiserver-etcd-client", ETCD, "kube-apiserver"),
        Leaf("apiserver", CLUSTER, "kube-apiserver", hosts=(*api_names, *local, NODE_ADDRESS, API_SERVICE_ADDRESS)),
        Leaf("apiserver-kubelet-client", CLUSTER, "kube-apiserver"),
        Leaf("front-proxy-client", FRONT_PROXY, "front-proxy-client"),
        Leaf("kubelet-serving", CLUSTER, f"system:node:{node}", ("system:nodes",), (node, NODE_ADDRESS)),
        Leaf("kubelet", CLUSTER, f"system:node:{node}", ("system:nodes",)),
        Leaf("controller-manager", CLUSTER, "system:kube-controller-manager"),
        Leaf("controller-manager-serving", CLUSTER, "kube-controller-manager", hosts=local),
        Leaf("scheduler", CLUSTER, "system:kube-scheduler"),
        Leaf("scheduler-serving", CLUSTER, "kube-scheduler", hosts=local),
        Leaf("proxy", CLUSTER, "system:kube-proxy"),
        Leaf("coredns", CLUSTER, "system:coredns"),
        Leaf("monitor", CLUSTER, "slipway-monitor", ("system:monitoring",)),
        Leaf("admin", CLUSTER, "slipway-admin", ("system:masters",)),
    )


def write(directory: Path, node: str) -> None:
    """Make what is missing in `directory`, and all certificates anew."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authorities = {name: _authority(directory, name) for name in (CLUSTER, ETCD, FRONT_PROXY)}
    for leaf in leaves(node):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _issue(leaf, key.public_key(), authorities[leaf.authority])
        _save_key(directory / f"{leaf.name}.key", key)
        _save(directory / f"{leaf.name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
    _service_account_key(directory)
    _encryption(directory / "encryption.yaml")


_Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority(directory: Path, name: str) -> _Authority:
    certificate_file, key_file = directory / f"{name}.crt", directory / f"{name}.key"
    if certificate_file.exists() and key_file.exists():
        stored = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(stored, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} is not the key we made")
        return x509.load_pem_x509_certificate(certificate_file.read_bytes()), stored
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"slipway {name}", ())
    certificate = (
        _builder(subject, subject, key.public_key(), _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _save_key(key_file, key)
    _save(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _issue(leaf: Leaf, public: ec.EllipticCurvePublicKey, authority: _Authority) -> x509.Certificate:
    issuer, issuer_key = authority
    # etcd's server speaks to itself as a client with the same certificate, and so does its gateway.
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if not leaf.hosts or leaf.authority == ETCD else []
    usages += [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.hosts else []
    builder = (
        _builder(_subject(leaf.common_name, leaf.organizations), issuer.subject, public, _CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if leaf.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(leaf.hosts)), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _subject(common_name: str, organizations: Sequence[str]) -> x509.Name:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _service_account_key(directory: Path) -> None:
    """Signs the tokens of service accounts; kept, or every token in use would become invalid."""
    private, public = directory / "service-account.key", directory / "service-account.pub"
    if public.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    _save_key(private, key)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    _save(public, key.public_key().public_bytes(serialization.Encoding.PEM, form))


def _encryption(file: Path) -> None:
    """How the API server writes Secrets to etcd; kept, or they could not be read again."""
    if file.exists():
        return
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    text = f"""apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox: {{keys: [{{name: key1, secret: {key}}}]}}
      - identity: {{}}
"""
    _save(file, text.encode())


def _save_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _save(file, key.private_bytes(encoding, form, serialization.NoEncryption()))


def _save(file: Path, content: bytes) -> None:
    """Write `file` whole or not at all, readable by its owner alone."""
    scratch = file.with_suffix(file.suffix + ".new")
    scratch.touch(mode=0o600)
    scratch.write_bytes(content)
    scratch.replace(file)
