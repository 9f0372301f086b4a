"""A Sigstore of the tests' own, on loopback: Fulcio, its log of certificates, and Rekor, as far as signing asks them.

Nobody but the tests trusts it, and it believes every token. Its answers have the form of the public one's
(https://github.com/sigstore/fulcio, https://github.com/sigstore/rekor), so that the real library signs with it and the
real library, and cosign, judge what came of it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/example/shop/.github/workflows/ci.yml@refs/heads/main"
_ECDSA = ec.ECDSA(hashes.SHA256())
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_BEGAN = "2020-01-01T00:00:00Z"
_LIVES = timedelta(minutes=10)


def token(subject: str = WORKFLOW, issuer: str = GITHUB, *, lives_s: int = 300) -> str:
    """A token as an issuer would give it, which nobody signed."""
    now = int(time.time())
    claims: dict[str, Any] = {"iss": issuer, "aud": "sigstore", "iat": now, "exp": now + lives_s, "sub": "repo:example"}
    if issuer == GITHUB:
        claims["job_workflow_ref"] = subject.removeprefix("https://github.com/")
    elif "@" in subject:
        claims["email"] = subject
    else:
        claims["sub"] = subject
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), ""])


class Sigstore:
    """Listens at `url`. `late_s` is by how much too late it enters what was signed; without `answers` it is closed.

    So many of its next certificates as `run_out` says have run out when they come.
    """

    def __init__(self) -> None:
        self._authority, self._certificates, self._log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self._root = self._make_root()
        self._leaves: list[bytes] = []
        self._lock = threading.Lock()
        self.url = ""
        self.late_s = 0
        self.answers = True
        self.run_out = 0

    def trust_config(self) -> dict[str, Any]:
        """What its clients are told of it: a `ClientTrustConfig`."""
        always = {"start": _BEGAN}
        service = {"url": self.url, "majorApiVersion": 1, "validFor": always, "operator": "the tests"}
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [self._told(self._log)],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "the tests", "commonName": "the tests"},
                        "uri": self.url,
                        "certChain": {"certificates": [{"rawBytes": _base64(_der(self._root))}]},
                        "validFor": always,
                    }
                ],
                "ctlogs": [self._told(self._certificates)],
                "timestampAuthorities": [],
            },
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "oidcUrls": [service],
                "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
                "tsaConfig": {"selector": "ANY"},
            },
        }

    def write(self, path: Path) -> Path:
        """The trust config as a file."""
        path.write_text(json.dumps(self.trust_config()), encoding="utf-8")
        return path

    def certify(self, bearer: str, request: x509.CertificateSigningRequest) -> list[x509.Certificate]:
        """Fulcio's part: a certificate for whoever the token is of, with the word of the log of certificates."""
        payload = bearer.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        name: x509.GeneralName
        if claims["iss"] == GITHUB:
            name = x509.UniformResourceIdentifier(f"https://github.com/{claims['job_workflow_ref']}")
        else:
            name = x509.RFC822Name(claims["email"])
        now = datetime.now(UTC)
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        builder = (
            x509.CertificateBuilder(issuer_name=self._root.subject, subject_name=x509.Name([]), public_key=key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=1))
            .not_valid_after(now + (timedelta(0) if self._next_has_run_out() else _LIVES))
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, claims["iss"].encode()), critical=False)
        )
        before = builder.sign(self._authority, hashes.SHA256())
        listed = x509.UnrecognizedExtension(_SCT_LIST, self._timestamp(before.tbs_certificate_bytes, now))
        return [builder.add_extension(listed, critical=False).sign(self._authority, hashes.SHA256()), self._root]

    def enter(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """Rekor's part: an entry about an envelope, with the proof that it is in the log."""
        content = proposed["spec"]["proposedContent"]
        envelope, (verifier,) = json.loads(content["envelope"]), content["verifiers"]
        signatures = [{"signature": each["sig"], "verifier": verifier} for each in envelope["signatures"]]
        spec = {
            "envelopeHash": _hash(content["envelope"].encode()),
            "payloadHash": _hash(base64.b64decode(envelope["payload"])),
            "signatures": signatures,
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        with self._lock:
            self._leaves.append(hashlib.sha256(b"\0" + body).digest())
            leaves = list(self._leaves)
        index = len(leaves) - 1
        entry = {
            "body": _base64(body),
            "integratedTime": int(time.time()) + self.late_s,
            "logID": _key_id(self._log).hex(),
            "logIndex": index,
        }
        proof = {
            "checkpoint": self._checkpoint(leaves),
            "hashes": [each.hex() for each in _path(index, leaves)],
            "logIndex": index,
            "rootHash": _root(leaves).hex(),
            "treeSize": len(leaves),
        }
        promise = _base64(self._log.sign(_canonical(entry), _ECDSA))
        return {"0" * 64: entry | {"verification": {"signedEntryTimestamp": promise, "inclusionProof": proof}}}

    def _next_has_run_out(self) -> bool:
        self.run_out -= 1
        return self.run_out >= 0

    def _make_root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a Sigstore of tests")])
        public = self._authority.public_key()
        return (
            x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._authority, hashes.SHA256())
        )

    def _timestamp(self, certificate: bytes, now: datetime) -> bytes:
        """The log's word for a certificate, as the extension has it: RFC 6962, section 3.3."""
        moment = int(now.timestamp() * 1000)
        issuer = hashlib.sha256(_spki(self._authority)).digest()
        signed = struct.pack("!BBQH", 0, 0, moment, 1) + issuer + _sized(certificate, 3) + struct.pack("!H", 0)
        signature = self._certificates.sign(signed, _ECDSA)
        stamp = struct.pack("!B32sQHBB", 0, _key_id(self._certificates), moment, 0, 4, 3) + _sized(signature, 2)
        return _octet_string(_sized(_sized(stamp, 2), 2))

    def _checkpoint(self, leaves: list[bytes]) -> str:
        """https://github.com/transparency-dev/formats/blob/main/log/README.md; Rekor has a number of the tree."""
        note = f"the tests - 1\n{len(leaves)}\n{_base64(_root(leaves))}\n"
        signature = _key_id(self._log)[:4] + self._log.sign(note.encode(), _ECDSA)
        return f"{note}\n— the-tests {_base64(signature)}\n"

    def _told(self, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        public = {
            "rawBytes": _base64(_spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": _BEGAN},
        }
        return {
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": public,
            "logId": {"keyId": _base64(_key_id(key))},
        }


@contextlib.contextmanager
def serving() -> Iterator[Sigstore]:
    """One that listens."""
    sigstore = Sigstore()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not sigstore.answers:
                self._answer(503, {"message": "closed for today"})
            elif self.path == "/api/v2/signingCert":
                bearer = self.headers["Authorization"].removeprefix("Bearer ")
                request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
                chain = [_pem(each) for each in sigstore.certify(bearer, request)]
                self._answer(200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})
            else:
                self._answer(201, sigstore.enter(asked))

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sigstore.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield sigstore
        finally:
            server.shutdown()
            thread.join()


def _root(leaves: list[bytes]) -> bytes:
    """The hash of a tree: RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(leaves[:middle]) + _root(leaves[middle:])).digest()


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The proof that a leaf is in a tree: RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    if index < middle:
        return [*_path(index, leaves[:middle]), _root(leaves[middle:])]
    return [*_path(index - middle, leaves[middle:]), _root(leaves[:middle])]


def _usage(*, signs: bool) -> x509.KeyUsage:
    others = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=signs, key_cert_sign=not signs, crl_sign=not signs, **others)


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _hash(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _sized(content: bytes, size: int) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _octet_string(content: bytes) -> bytes:
    """DER; of a length between 128 and 255, or of up to 127."""
    length = bytes([len(content)]) if len(content) < 128 else bytes([0x81, len(content)])
    return b"\x04" + length + content


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
