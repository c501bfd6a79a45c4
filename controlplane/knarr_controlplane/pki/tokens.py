"""Join tokens: what lets a new machine ask for a node's certificate.

``kn1.<id>.<secret>.<sha256 of the CA certificate>``. The store keeps only a salted hash of the secret, below
``/registry/knarr/jointokens/``, which the API does not serve. The CA's hash lets the joining machine know that it
talks to the right cluster before it sends the secret.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from knarr_api.errors import NotFound, Unauthenticated
from knarr_controlplane.store.protocol import Delete, Put, Store

PREFIX = "/registry/knarr/jointokens/"
VERSION = "kn1"
DEFAULT_TTL_S = 24 * 3600
MAX_TTL_S = 366 * 24 * 3600
SECRET_BYTES = 24


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """As stored. node_name: the only name it is good for, or empty. hash: scrypt of the secret, hex."""

    id: str
    description: str
    node_name: str
    expires_at: datetime.datetime
    salt: str
    hash: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a store. now: the wall clock."""

    store: Store
    ca_fingerprint: str
    now: Callable[[], datetime.datetime]

    async def create(self, *, ttl_s: int, description: str, node_name: str) -> tuple[str, TokenRecord]:
        """A new token; its text is not kept anywhere."""
        identifier, secret, salt = secrets.token_hex(4), secrets.token_urlsafe(SECRET_BYTES), secrets.token_hex(16)
        lifetime = datetime.timedelta(seconds=min(ttl_s or DEFAULT_TTL_S, MAX_TTL_S))
        record = TokenRecord(
            id=identifier,
            description=description,
            node_name=node_name,
            expires_at=self.now() + lifetime,
            salt=salt,
            hash=_hash(secret, salt),
        )
        await self.store.commit([Put(PREFIX + identifier, msgspec.json.encode(record), 0)])
        return f"{VERSION}.{identifier}.{secret}.{self.ca_fingerprint}", record

    async def list(self) -> tuple[TokenRecord, ...]:
        """Those that have not expired."""
        listing = await self.store.list(PREFIX)
        records = (msgspec.json.decode(entry.value, type=TokenRecord) for entry in listing.entries)
        return tuple(record for record in records if record.expires_at > self.now())

    async def revoke(self, identifier: str) -> None:
        """Raises NotFound."""
        (revision,) = await self.store.commit([Delete(PREFIX + identifier)])
        if not revision:
            raise NotFound(f'join token "{identifier}" not found')

    async def check(self, token: str, node_name: str) -> TokenRecord:
        """Raises Unauthenticated, without saying more than the caller may know."""
        parts = token.split(".")
        if len(parts) != 4 or parts[0] != VERSION or not parts[1].isalnum():
            raise Unauthenticated(f"not a join token: expected {VERSION}.<id>.<secret>.<hash>")
        entry = await self.store.get(PREFIX + parts[1])
        record = msgspec.json.decode(entry.value, type=TokenRecord) if entry is not None else None
        known = _hash(parts[2], record.salt if record else "00" * 16)
        if record is None or not hmac.compare_digest(known, record.hash):
            raise Unauthenticated(f"join token \"{parts[1]}\" is unknown: make a new one with 'knarr token create'")
        if record.expires_at <= self.now():
            raise Unauthenticated(
                f'join token "{parts[1]}" expired at {record.expires_at:%Y-%m-%dT%H:%M:%SZ}: '
                "make a new one with 'knarr token create'"
            )
        if record.node_name and record.node_name != node_name:
            raise Unauthenticated(f'join token "{parts[1]}" is for another node name than "{node_name}"')
        return record


def _hash(secret: str, salt: str) -> str:
    return hashlib.scrypt(secret.encode(), salt=bytes.fromhex(salt), n=2**12, r=8, p=1).hex()
