"""Tokens of ServiceAccounts: signed with a key that follows from the CA's, and held to all they say."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import Unauthenticated
from knarr_controlplane.pki.account_tokens import AccountTokens, Claims
from knarr_controlplane.pki.authority import Authority

NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
CLAIMS = Claims(
    namespace="d", account="robot", account_uid="u", audiences=("api", "vault"), issued_s=1000, expires_s=4600,
    pod=("web-1", "p"), node=("n1", "n"), identifier="j",
)  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.open(tmp_path_factory.mktemp("pki"), NOW)


@pytest.fixture(scope="module")
def tokens(authority):
    return AccountTokens(authority)


def test_what_was_signed_is_read(tokens):
    assert tokens.verify(tokens.sign(CLAIMS), 2000) == CLAIMS


def test_every_control_plane_of_a_cluster_has_the_key(authority, tokens, tmp_path):
    again = AccountTokens(Authority.open(authority.directory, NOW))
    assert again.verify(tokens.sign(CLAIMS), 2000) == CLAIMS
    with pytest.raises(Unauthenticated, match="not one of this cluster"):
        AccountTokens(Authority.open(tmp_path, NOW)).verify(tokens.sign(CLAIMS), 2000)


def test_it_is_a_json_web_token_in_kubernetes_words(tokens):
    header, body, _ = (base64.urlsafe_b64decode(part + "==") for part in tokens.sign(CLAIMS).split("."))
    assert json.loads(header)["alg"] == "ES256"
    said = json.loads(body)
    assert said["sub"] == "system:serviceaccount:d:robot" and said["aud"] == ["api", "vault"]
    assert said["kubernetes.io"]["pod"] == {"name": "web-1", "uid": "p"}


@pytest.mark.parametrize(("now_s", "why"), [(4700, "has expired"), (900, "not valid yet")])
def test_it_has_its_time(tokens, now_s, why):
    with pytest.raises(Unauthenticated, match=why):
        tokens.verify(tokens.sign(CLAIMS), now_s)


def test_another_algorithm_is_refused(tokens):
    _, body, signature = tokens.sign(CLAIMS).split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","kid":"x"}').rstrip(b"=").decode()
    for forged in (f"{header}.{body}.", f"{header}.{body}.{signature}"):
        with pytest.raises(Unauthenticated):
            tokens.verify(forged, 2000)


@given(st.integers(0, 10_000), st.characters())
def test_no_changed_token_is_accepted(tokens, position, character):
    token = tokens.sign(CLAIMS)
    position %= len(token)
    changed = token[:position] + character + token[position + 1 :]
    try:
        accepted = tokens.verify(changed, 2000)
    except Unauthenticated:
        return
    assert accepted == CLAIMS  # base64's last bits may differ without meaning


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode() + ".e30.e30"))
def test_garbage_is_refused(tokens, text):
    with pytest.raises(Unauthenticated):
        tokens.verify(text, 2000)
