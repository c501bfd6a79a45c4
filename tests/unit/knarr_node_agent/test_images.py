"""Credentials of registries."""

from __future__ import annotations

import base64
import json

import pytest

from knarr_api.types.core_v1 import Secret
from knarr_node_agent.images import credentials, registry_of


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("busybox", "docker.io"),
        ("library/busybox:1", "docker.io"),
        ("ghcr.io/a/b@sha256:0", "ghcr.io"),
        ("localhost/a", "localhost"),
        ("host:5000/a", "host:5000"),
    ],
)
def test_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_secret_for_the_registry_is_used() -> None:
    auth = base64.b64encode(b"me:se:cret").decode()
    document = {"auths": {"https://index.docker.io/v1/": {"auth": auth}, "ghcr.io": {"username": "u", "password": "p"}}}
    secret = Secret(data={".dockerconfigjson": json.dumps(document).encode()})
    found = credentials("busybox", [secret])
    assert found is not None
    assert (found.username, found.password) == ("me", "se:cret")
    found = credentials("ghcr.io/x/y", [secret])
    assert found is not None
    assert found.username == "u"
    assert credentials("quay.io/x/y", [secret]) is None


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"auths": 3}', b'{"auths": {"docker.io": {"auth": "%%"}}}'])
def test_damaged_secrets_say_nothing(raw: bytes) -> None:
    assert credentials("busybox", [Secret(data={".dockerconfigjson": raw})]) is None
