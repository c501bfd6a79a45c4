"""Objects and stored values. Values are the JSON documents themselves; those of Secrets are encrypted.

An encrypted value is JSON as well: ``{"kind": "Secret", "metadata": {namespace, name}, "encrypted": <base64>}``, by
AES-256-GCM with the object's key in the store as associated data, so that a value can't be moved to another name.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from knarr_api import json
from knarr_api.errors import Internal
from knarr_api.kinds import Kind
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.unknown_fields import Unknown, lost, restored
from knarr_controlplane.pki.authority import alone, write_private
from knarr_controlplane.registry.addressing import without_revision

KEY_BYTES, NONCE_BYTES = 32, 12


class Storage:
    """Encodes and decodes; holds the key."""

    def __init__(self, secret_key: bytes) -> None:
        self._cipher = AESGCM(secret_key)

    @classmethod
    def open(cls, path: Path) -> Storage:
        """Read the key file, or make it (0600). Raises Internal for one that is damaged."""
        with alone(path.parent):
            if not path.exists():
                write_private(path, os.urandom(KEY_BYTES))
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise Internal(f"{path} is damaged: {len(key)} bytes, expected {KEY_BYTES}; restore it from a backup")
        return cls(key)

    @staticmethod
    def seals(kind: Kind) -> bool:
        """Whether what is stored of it is encrypted, and not the document itself."""
        return kind.kind == "Secret"

    def encode(self, kind: Kind, key: str, obj: Any, unknown: Unknown | None = None) -> bytes:
        """The value to store; the revision is not in it, the store knows it.

        unknown: what was in the value that this one replaces and no version but a newer one knows.
        """
        plain = json.encode(without_revision(obj))
        if unknown:
            plain = json.encode(restored(json.load(plain), unknown))
        if not self.seals(kind):
            return plain
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, key.encode())
        names = {"namespace": obj.metadata.namespace, "name": obj.metadata.name}
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": names}
        return json.encode({**document, "encrypted": base64.b64encode(sealed).decode()})

    def decode(self, kind: Kind, key: str, value: bytes, revision: int) -> CacheEntry:
        """The entry of a stored value. Raises Internal when it was damaged or sealed with another key."""
        if self.seals(kind):
            try:
                sealed = base64.b64decode(json.load(value)["encrypted"])
                value = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], key.encode())
            except (InvalidTag, KeyError, TypeError, ValueError):
                raise Internal(f"{key} can't be decrypted: it was stored with another key or damaged") from None
        entry = entries.make(kind, key, json.decode(value, kind.type), revision)
        if entry.document != value:  # written by another version
            unknown = lost(json.load(value), json.load(entry.json))
            entry.unknown = unknown or None
        return entry
