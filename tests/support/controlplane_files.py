"""What the processes of a control plane read: certificates, tokens, kubeconfigs, an audit policy."""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADMIN = "admin"
USER = "gitcd-test"  # in no group, so it may do what a test's own roles say and nothing more
TOKENS = {ADMIN: "admin-token-of-the-tests", USER: "user-token-of-the-tests"}

_SERVING_NAMES: list[x509.GeneralName] = [
    x509.DNSName("localhost"),
    x509.DNSName("kubernetes.default.svc"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("10.0.0.1")),  # the first of the service addresses
]
# Both stages, so that a reader knows when the answer to every request it sees is in the file. The servers' own requests,
# many a second, are left out.
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
  - level: None
    users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]
  - level: None
    userGroups: ["system:serviceaccounts:kube-system"]
  - level: None
    nonResourceURLs: ["/healthz*", "/readyz*", "/livez*"]
  - level: Metadata
"""


def write_all(folder: Path) -> None:
    """Everything that has no port in it."""
    _write_certificates(folder)
    groups = {ADMIN: ',"system:masters"', USER: ""}
    rows = [f"{token},{user},{user}{groups[user]}\n" for user, token in TOKENS.items()]
    (folder / "tokens.csv").write_text("".join(rows))
    (folder / "audit-policy.yaml").write_text(_AUDIT_POLICY)


def kubeconfig(server: str, ca: Path, token: str, *, namespace: str = "default") -> str:
    """A kubeconfig of one context, as JSON, which is YAML too."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
    }
    return json.dumps(document, indent=2)


def _write_certificates(folder: Path) -> None:
    """A CA, a serving certificate of it, and the key pair that signs the tokens of service accounts."""
    ca_key, serving_key, accounts_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca = _ca(ca_key)
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    serving = _serving(serving_key, ca, ca_key)
    (folder / "serving.crt").write_bytes(serving.public_bytes(serialization.Encoding.PEM))
    (folder / "serving.key").write_bytes(_pem(serving_key))
    (folder / "accounts.key").write_bytes(_pem(accounts_key))
    (folder / "accounts.pub").write_bytes(
        accounts_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _ca(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _named("test-ca")
    return (
        _begun(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _serving(
    key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Passes the strict verification that Python 3.13 began to ask for: that wants the key identifiers."""
    return (
        _begun(_named("kube-apiserver"), ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_SERVING_NAMES), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=2))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
