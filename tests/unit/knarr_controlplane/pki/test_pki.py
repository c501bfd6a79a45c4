"""The authority, its certificates, and join tokens."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from knarr_api.errors import Forbidden, Internal, Invalid, NotFound, Unauthenticated
from knarr_client.join import make_request
from knarr_controlplane.pki import identity, kubeconfig
from knarr_controlplane.pki.authority import Authority
from knarr_controlplane.pki.tokens import PREFIX, Tokens
from knarr_controlplane.store.memory import MemoryStore

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "pki", NOW)


def test_the_authority_is_made_once_and_kept_private(tmp_path: Path, authority: Authority) -> None:
    assert Authority.open(tmp_path / "pki", NOW).fingerprint == authority.fingerprint
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "pki" / "ca.key").stat().st_mode) == 0o600


def test_the_serving_certificate_covers_its_names_and_is_renewed(authority: Authority) -> None:
    first = authority.serving(["10.0.0.1"], NOW)
    assert authority.serving(["10.0.0.1"], NOW) == first
    second = authority.serving(["10.0.0.1", "api.example"], NOW)
    assert second != first
    assert authority.serving(["api.example"], NOW + datetime.timedelta(days=300)) != second
    chain = x509.load_pem_x509_certificates(second.certificate)
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == {"10.0.0.1", "127.0.0.1", "api.example", "localhost"}
    assert chain[1] == authority.certificate


def test_a_lost_certificate_of_the_authority_is_made_anew_for_its_key(authority: Authority) -> None:
    """What the key has signed stays valid, and a first start that was killed in between goes on."""
    node = x509.load_pem_x509_certificate(authority.sign_node(make_request("n1").csr, "n1", NOW))
    key = (authority.directory / "ca.key").read_bytes()
    (authority.directory / "ca.crt").unlink()

    again = Authority.open(authority.directory, NOW)

    assert (authority.directory / "ca.key").read_bytes() == key
    node.verify_directly_issued_by(again.certificate)


def test_a_damaged_key_is_not_replaced(authority: Authority) -> None:
    (authority.directory / "ca.crt").unlink()
    (authority.directory / "ca.key").write_bytes(b"")
    with pytest.raises(Internal, match="can't be read"):
        Authority.open(authority.directory, NOW)
    assert (authority.directory / "ca.key").read_bytes() == b""


def test_a_key_of_another_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    other = Authority.open(tmp_path / "other", NOW)
    (authority.directory / "ca.key").write_bytes((other.directory / "ca.key").read_bytes())
    with pytest.raises(Internal, match=r"ca\.key is not the key of \S+ca\.crt"):
        Authority.open(authority.directory, NOW)


@pytest.mark.parametrize("present", [b"", None])
def test_a_serving_key_that_does_not_fit_is_made_anew(authority: Authority, present: bytes | None) -> None:
    authority.serving([], NOW)
    path = authority.directory / "server.key"
    path.write_bytes(authority.admin(NOW).key if present is None else present)

    pair = authority.serving([], NOW)

    key = serialization.load_pem_private_key(pair.key, None)
    assert key.public_key() == x509.load_pem_x509_certificate(pair.certificate).public_key()


def test_a_node_gets_a_certificate_for_its_own_name_only(authority: Authority) -> None:
    request = make_request("n1")
    certificate = authority.sign_node(request.csr, "n1", NOW)
    who = identity.of_certificate(certificate)
    assert (who.name, who.node_name, who.is_admin) == ("system:node:n1", "n1", False)
    usage = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert [use.dotted_string for use in usage.value] == ["1.3.6.1.5.5.7.3.2"]
    with pytest.raises(Forbidden):
        authority.sign_node(request.csr, "n2", NOW)


def test_requests_for_more_than_a_node_are_refused(authority: Authority) -> None:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1"),
        ]
    )
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    with pytest.raises(Forbidden):
        authority.sign_node(csr.public_bytes(serialization.Encoding.PEM), "n1", NOW)
    for bad in (b"", b"x" * 20_000, b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"):
        with pytest.raises(Invalid):
            authority.sign_node(bad, "n1", NOW)


def test_the_admin_is_in_masters_and_the_kubeconfig_is_private(tmp_path: Path, authority: Authority) -> None:
    pair = authority.admin(NOW)
    assert identity.of_certificate(pair.certificate).is_admin
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, servers=("127.0.0.1:6443",), ca_pem=authority.pem, user="a", credentials=pair)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Wall:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime.datetime:
        return self.time


async def test_a_token_is_good_for_its_time_and_name() -> None:
    wall, store = Wall(), MemoryStore()
    tokens = Tokens(store, "f" * 64, wall.now)
    text, record = await tokens.create(ttl_s=60, description="", node_name="n1")
    assert text.startswith(f"kn1.{record.id}.") and text.endswith("." + "f" * 64)
    assert (await tokens.check(text, "n1")).id == record.id
    for wrong in (text.replace(record.id, "00000000"), f"kn1.{record.id}.guess.{'f' * 64}", "rubbish", "a.b.c.d"):
        with pytest.raises(Unauthenticated):
            await tokens.check(wrong, "n1")
    with pytest.raises(Unauthenticated, match="another node name"):
        await tokens.check(text, "n2")
    wall.time += datetime.timedelta(seconds=61)
    with pytest.raises(Unauthenticated, match="expired"):
        await tokens.check(text, "n1")
    assert await tokens.list() == ()


async def test_the_secret_is_not_stored_and_a_revoked_token_is_unknown() -> None:
    store = MemoryStore()
    tokens = Tokens(store, "f" * 64, Wall().now)
    text, record = await tokens.create(ttl_s=0, description="d", node_name="")
    stored = (await store.list(PREFIX)).entries[0].value
    assert text.split(".")[2].encode() not in stored
    await tokens.revoke(record.id)
    with pytest.raises(Unauthenticated, match="unknown"):
        await tokens.check(text, "n1")
    with pytest.raises(NotFound):
        await tokens.revoke(record.id)
