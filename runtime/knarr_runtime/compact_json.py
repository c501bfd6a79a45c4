"""JSON for messages and records: no spaces, and an encoder and a decoder that are made once, not for every text."""

from __future__ import annotations

import json
from typing import Any

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()


def encode(value: object) -> str:
    return _ENCODER.encode(value)


def decode(text: bytes) -> Any:
    """Of UTF-8. Raises ValueError for what is none, or no JSON."""
    return _DECODER.decode(text.decode())
