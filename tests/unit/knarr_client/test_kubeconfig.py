"""Reading kubeconfig files, and what is said about bad ones."""

from __future__ import annotations

import base64

import pytest
import yaml

from knarr_api import errors
from knarr_client import channel, kubeconfig

PEM = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def document(**changes):
    data = base64.b64encode(PEM).decode()
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority-data": data}
    user = {"client-certificate-data": data, "client-key-data": data}
    cluster.update(changes.pop("cluster", {}))
    user.update(changes.pop("user", {}))
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "k", "cluster": {name: value for name, value in cluster.items() if value is not None}}],
        "users": [{"name": "u", "user": {name: value for name, value in user.items() if value is not None}}],
        **changes,
    }


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "config"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_inline_credentials(write):
    access = kubeconfig.load(write(document()))
    assert access.endpoints == ("127.0.0.1:6443",)
    assert access.ca_pem == access.certificate_pem == access.key_pem == PEM
    assert access.namespace == "team"


def test_credentials_in_files_beside_it(write, tmp_path):
    (tmp_path / "key.pem").write_bytes(PEM)
    access = kubeconfig.load(write(document(user={"client-key-data": None, "client-key": "key.pem"})))
    assert access.key_pem == PEM


def test_several_servers(write):
    more = {"name": "knarr.dev/servers", "extension": {"servers": ["https://10.0.0.2:6443", "https://10.0.0.3"]}}
    access = kubeconfig.load(write(document(cluster={"server": "https://10.0.0.1:6443", "extensions": [more]})))
    assert access.endpoints == ("10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:6443")
    assert channel.target(access) == "ipv4:10.0.0.1:6443,10.0.0.2:6443,10.0.0.3:6443"
    assert ("grpc.ssl_target_name_override", "localhost") in channel.options(access)


def test_address_of_version_six(write):
    access = kubeconfig.load(write(document(cluster={"server": "https://[::1]:7000"})))
    assert access.endpoints == ("[::1]:7000",)


def test_secrets_are_not_shown(write):
    assert "BEGIN" not in repr(kubeconfig.load(write(document())))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "not YAML: line 2"),
        ("- a", "is a mapping"),
        (document(**{"current-context": "zz"}), 'contexts: has no "zz" (there is c)'),
        (document(**{"current-context": None}), "current-context: is missing"),
        (document(clusters=[]), 'clusters: has no "k" (there is none at all)'),
        (document(users="x"), "users: must be a list"),
        (document(cluster={"server": None}), "clusters[0].cluster.server: is missing"),
        (document(cluster={"server": "http://x:1"}), "must begin with https://"),
        (document(cluster={"server": "https://x:zz"}), "is not an address"),
        (document(cluster={"certificate-authority-data": "%%%"}), "certificate-authority-data: is not base64"),
        (document(cluster={"certificate-authority-data": "aGVsbG8="}), "is not in PEM form"),
        (document(user={"client-key-data": None}), "users[0].user.client-key: is missing"),
        (document(user={"client-key-data": None, "client-key": "nowhere.pem"}), "nowhere.pem cannot be read"),
        (document(user={"client-key-data": 7}), "must be a text, not 7"),
    ],
)
def test_complaints_name_file_and_field(write, content, said):
    path = write(content)
    with pytest.raises(errors.Invalid) as raised:
        kubeconfig.load(path)
    assert str(path) in str(raised.value)
    assert said in str(raised.value)


def test_missing_file(tmp_path):
    with pytest.raises(errors.NotFound, match="no such kubeconfig"):
        kubeconfig.load(tmp_path / "none")


def test_where_it_is_looked_for(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_text("x")
    environment = {"KUBECONFIG": f"{first}:{second}"}
    assert kubeconfig.find(environment=environment) == second
    assert kubeconfig.find("given", environment=environment).name == "given"
    assert kubeconfig.find(fallback=second, environment={}) == second
    with pytest.raises(errors.NotFound, match="knarr up"):
        kubeconfig.find(fallback=first, environment={"HOME": str(tmp_path)})
