"""Tokens of ServiceAccounts: JSON Web Tokens signed with the cluster's key (ES256).

The key is derived from the CA's, so that every control plane of a cluster has it and there is nothing more to keep or
to back up. Source: RFC 7515, 7518, 7519; Kubernetes "Managing Service Accounts", bound tokens.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from knarr_api import json
from knarr_api.errors import Invalid, Unauthenticated
from knarr_controlplane.pki.authority import Authority

ISSUER = "https://kubernetes.default.svc.cluster.local"
"""Also the audience of the API itself."""
PREFIX = "system:serviceaccount:"
LEEWAY_S = 5
MAX_TOKEN_BYTES = 8 * 1024
HALF = 32
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says. pod, node: (name, uid), empty where it is not bound to one. Times: seconds since 1970."""

    namespace: str
    account: str
    account_uid: str
    audiences: tuple[str, ...]
    issued_s: int
    expires_s: int
    pod: tuple[str, str] = ("", "")
    node: tuple[str, str] = ("", "")
    identifier: str = ""

    @property
    def subject(self) -> str:
        return f"{PREFIX}{self.namespace}:{self.account}"


class AccountTokens:
    """Signs and verifies."""

    def __init__(self, authority: Authority) -> None:
        secret = authority.key.private_numbers().private_value.to_bytes(HALF, "big")
        derived = HKDF(algorithm=hashes.SHA256(), length=48, salt=None, info=b"knarr service account tokens").derive(
            secret
        )
        number = int.from_bytes(derived, "big") % (ORDER - 1) + 1
        self._key = ec.derive_private_key(number, ec.SECP256R1())
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = _base64(hashlib.sha256(public).digest())

    def sign(self, claims: Claims) -> str:
        header = {"alg": "ES256", "kid": self._key_id, "typ": "JWT"}
        inner: dict[str, Any] = {
            "namespace": claims.namespace,
            "serviceaccount": {"name": claims.account, "uid": claims.account_uid},
        }
        for field, (name, uid) in (("pod", claims.pod), ("node", claims.node)):
            if name:
                inner[field] = {"name": name, "uid": uid}
        body = {
            "aud": list(claims.audiences),
            "exp": claims.expires_s,
            "iat": claims.issued_s,
            "iss": ISSUER,
            "jti": claims.identifier,
            "kubernetes.io": inner,
            "nbf": claims.issued_s,
            "sub": claims.subject,
        }
        signed = f"{_base64(json.encode(header))}.{_base64(json.encode(body))}"
        first, second = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(first.to_bytes(HALF, 'big') + second.to_bytes(HALF, 'big'))}"

    def verify(self, token: str, now_s: float) -> Claims:
        """Raises Unauthenticated for what is no token of this cluster, or not valid now."""
        try:
            return self._verified(token, now_s)
        except (ValueError, KeyError, TypeError, AttributeError, Invalid, InvalidSignature, binascii.Error) as error:
            raise Unauthenticated("the token is not one of this cluster's") from error

    def _verified(self, token: str, now_s: float) -> Claims:
        if len(token) > MAX_TOKEN_BYTES:
            raise ValueError(len(token))
        signed, _, signature = token.rpartition(".")
        head, _, payload = signed.partition(".")
        raw = _bytes(signature)
        header = json.load(_bytes(head))
        if header["alg"] != "ES256" or header["kid"] != self._key_id or len(raw) != 2 * HALF:
            raise ValueError(header)
        pair = (int.from_bytes(raw[:HALF], "big"), int.from_bytes(raw[HALF:], "big"))
        self._key.public_key().verify(encode_dss_signature(*pair), signed.encode(), ec.ECDSA(hashes.SHA256()))
        body = json.load(_bytes(payload))
        inner = body["kubernetes.io"]
        pod, node = (inner.get(field) or {"name": "", "uid": ""} for field in ("pod", "node"))
        claims = Claims(
            namespace=str(inner["namespace"]),
            account=str(inner["serviceaccount"]["name"]),
            account_uid=str(inner["serviceaccount"]["uid"]),
            audiences=tuple(str(audience) for audience in body["aud"]),
            issued_s=int(body["iat"]),
            expires_s=int(body["exp"]),
            pod=(str(pod["name"]), str(pod["uid"])),
            node=(str(node["name"]), str(node["uid"])),
            identifier=str(body["jti"]),
        )
        if body["iss"] != ISSUER or body["sub"] != claims.subject:
            raise ValueError(body["sub"])
        if now_s > claims.expires_s + LEEWAY_S:
            raise Unauthenticated("the token has expired")
        if now_s < int(body["nbf"]) - LEEWAY_S:
            raise Unauthenticated("the token is not valid yet")
        return claims


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
