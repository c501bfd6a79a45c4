"""The cluster CA and the certificates it signs.

Names follow Kubernetes: the admin is in ``system:masters``, a node is ``system:node:<name>`` in ``system:nodes``.
Source: Kubernetes "PKI certificates and requirements"; X.509 by the ``cryptography`` library.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from knarr_api.errors import Forbidden, Internal, Invalid

CA_DAYS, SERVING_DAYS, ADMIN_DAYS, NODE_DAYS = 3650, 365, 365, 30
CLOCK_SKEW = datetime.timedelta(minutes=5)
MAX_CSR_BYTES = 16 * 1024
ADMIN = ("knarr-admin", "system:masters")
NODE_GROUP = "system:nodes"
NODE_PREFIX = "system:node:"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA of a directory."""

    directory: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def open(cls, directory: Path, now: datetime.datetime) -> Authority:
        """Read it, or make it; a certificate that is missing is made for the key that is there.

        Raises Internal for files that are damaged, or not of one authority.
        """
        with alone(directory):
            return cls._open(directory, now)

    @classmethod
    def _open(cls, directory: Path, now: datetime.datetime) -> Authority:
        key_path, certificate_path = directory / "ca.key", directory / "ca.crt"
        if not certificate_path.exists():
            key = _read_key(key_path) if key_path.exists() else ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "knarr-ca")])
            certificate = (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(name)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - CLOCK_SKEW)
                .not_valid_after(now + datetime.timedelta(days=CA_DAYS))
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_key_usage(signs_certificates=True), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .sign(key, hashes.SHA256())
            )
            write_private(key_path, _key_pem(key))
            write_private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
        loaded = _read_key(key_path)
        try:
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        except (OSError, ValueError) as error:
            raise Internal(f"the certificate authority in {directory} can't be read: {error}") from error
        if loaded.public_key() != certificate.public_key():
            raise Internal(f"{key_path} is not the key of {certificate_path}: take both from the same cluster")
        return cls(directory, certificate, loaded)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate (DER), in hex: what join tokens are bound to."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def serving(self, names: Iterable[str], now: datetime.datetime, directory: Path | None = None) -> KeyPair:
        """The control plane's certificate for these host names and addresses, with the CA's behind it.

        Kept in ``server.crt``, beside the CA or in a directory of its own, and made anew when a name is missing or two
        thirds of its life are over.
        """
        directory = directory or self.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = sorted({*names, "localhost", "127.0.0.1"})
        certificate_path, key_path = directory / "server.crt", directory / "server.key"
        with contextlib.suppress(FileNotFoundError, ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound):
            pair = KeyPair(certificate_path.read_bytes(), key_path.read_bytes())
            present = x509.load_pem_x509_certificate(pair.certificate)
            covered = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            fits = serialization.load_pem_private_key(pair.key, None).public_key() == present.public_key()
            if fits and set(wanted) <= {str(name.value) for name in covered} and self._is_fresh(present, now):
                return pair
        pair = self._issue("knarr-controlplane", "", wanted, SERVING_DAYS, now)
        pair = KeyPair(pair.certificate + self.pem, pair.key)
        write_private(key_path, pair.key)
        write_private(certificate_path, pair.certificate, mode=0o644)
        return pair

    def admin(self, now: datetime.datetime) -> KeyPair:
        """A client certificate that may do everything."""
        return self._issue(*ADMIN, [], ADMIN_DAYS, now)

    def etcd(self, now: datetime.datetime, directory: Path, name: str = "etcd") -> tuple[Path, Path, Path]:
        """Paths of (CA, certificate, key) there for an etcd on 127.0.0.1, as server, peer and client."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        pair = self._issue("knarr-etcd", "", ["localhost", "127.0.0.1"], SERVING_DAYS, now, client=True)
        write_private(directory / "ca.crt", self.pem, mode=0o644)
        write_private(directory / f"{name}.crt", pair.certificate, mode=0o644)
        write_private(directory / f"{name}.key", pair.key)
        return directory / "ca.crt", directory / f"{name}.crt", directory / f"{name}.key"

    def sign_node(self, csr_pem: bytes, node_name: str, now: datetime.datetime) -> bytes:
        """A client certificate for a node's request.

        Raises Invalid for a request that is none or whose key is weak, Forbidden when it asks for another name.
        """
        if len(csr_pem) > MAX_CSR_BYTES:
            raise Invalid(f"the certificate request has more than {MAX_CSR_BYTES} bytes")
        try:
            request = x509.load_pem_x509_csr(csr_pem)
            valid = request.is_signature_valid
            public_key = request.public_key()
        except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise Invalid(f"not a certificate request: {error}") from error
        if not valid:
            raise Invalid("the certificate request's signature does not fit its key")
        if isinstance(public_key, rsa.RSAPublicKey):
            if not 2048 <= public_key.key_size <= 8192:
                raise Invalid(f"an RSA key of {public_key.key_size} bits: 2048 to 8192 are admitted")
        elif not isinstance(public_key, ec.EllipticCurvePublicKey) or public_key.key_size < 256:
            raise Invalid("the key must be RSA or an elliptic curve of at least 256 bits")
        subject = [(attribute.oid, attribute.value) for attribute in request.subject]
        wanted = [(NameOID.ORGANIZATION_NAME, NODE_GROUP), (NameOID.COMMON_NAME, NODE_PREFIX + node_name)]
        if sorted(subject, key=str) != sorted(wanted, key=str):
            raise Forbidden(
                f'the certificate request is for "{request.subject.rfc4514_string()}", '
                f"not for {NODE_PREFIX}{node_name} in {NODE_GROUP}"
            )
        certificate = self._builder(NODE_PREFIX + node_name, NODE_GROUP, NODE_DAYS, now).public_key(public_key)
        certificate = certificate.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        return certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _issue(
        self, name: str, group: str, sans: list[str], days: int, now: datetime.datetime, *, client: bool = False
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name, group, days, now).public_key(key.public_key())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] if sans else []
        if client or not sans:
            usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName([_san(san) for san in sans]), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))

    def _builder(self, name: str, group: str, days: int, now: datetime.datetime) -> x509.CertificateBuilder:
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name(attributes))
            .issuer_name(self.certificate.subject)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )

    def _is_fresh(self, certificate: x509.Certificate, now: datetime.datetime) -> bool:
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        signed_by_us = certificate.issuer == self.certificate.subject
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return signed_by_us and now < certificate.not_valid_before_utc + life * 2 / 3


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Of several processes that share the keys one at a time: what is missing is made once."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_private(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write atomically and durably; the file never has a wider mode than given."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Internal(f"the certificate authority in {path.parent} can't be read: {error}") from error
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise Internal(f"{path} is not an elliptic curve key")
    return loaded


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
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


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
