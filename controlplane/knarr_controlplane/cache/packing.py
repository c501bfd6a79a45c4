"""Documents that nobody looks at at the moment, kept as what makes them different from one like them.

Most of an object is what its owner's template says. With an earlier sibling's bytes as the dictionary, a pod of 2.5 KB
becomes 0.2 KB in 8 us, and is itself again in 3.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict

import msgspec

WORTH_BYTES = 1024
"""Smaller ones stay as they are."""
SIBLINGS_MAX = 1000


class Packed(msgspec.Struct, frozen=True, gc=False):
    """sibling: the bytes that those in ``data`` refer to."""

    sibling: bytes
    data: bytes
    size_bytes: int

    def unpacked(self) -> bytes:
        return zlib.decompressobj(-zlib.MAX_WBITS, self.sibling).decompress(self.data)


class Packing:
    """Knows a document of each group to measure the next ones by."""

    def __init__(self) -> None:
        self._siblings: OrderedDict[str, bytes] = OrderedDict()

    def pack(self, document: bytes, group: str) -> bytes | Packed:
        """group: of documents that are much alike. The same bytes where it is not worth it."""
        if len(document) < WORTH_BYTES:
            return document
        sibling = self._siblings.get(group)
        if sibling is not None:
            packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=sibling)
            data = packer.compress(document) + packer.flush()
            if len(data) < len(document) / 4:
                return Packed(sibling, data, len(document))
        self._siblings[group] = document
        self._siblings.move_to_end(group)
        if len(self._siblings) > SIBLINGS_MAX:
            self._siblings.popitem(last=False)
        return document
