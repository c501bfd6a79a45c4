"""Documents that rest take little room and come back as they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knarr_api import kinds
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.packing import Packed, Packing


def unpacked(document: bytes | Packed) -> bytes:
    return document if isinstance(document, bytes) else document.unpacked()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=5000)), max_size=20))
def test_every_document_comes_back_whatever_was_packed_before(documents: list[tuple[str, bytes]]) -> None:
    packing = Packing()
    packed = [packing.pack(document, group) for group, document in documents]
    assert [unpacked(each) for each in packed] == [document for _, document in documents]


def test_siblings_take_little_room() -> None:
    packing = Packing()
    template = bytes(range(256)) * 10
    packing.pack(template, "a")
    packed = packing.pack(b"other name" + template, "a")
    assert isinstance(packed, Packed)
    assert len(packed.data) < len(template) / 10
    assert packed.size_bytes == len(template) + 10


def test_entries_are_the_same_after_they_rested() -> None:
    kind = kinds.of(ConfigMap)
    made = [
        ConfigMap(metadata=ObjectMeta(name=f"c{number}", namespace="default", uid=str(number)), data={"a": "x" * 3000})
        for number in range(entries.RECENT_MAX + 50)
    ]
    found = [entries.make(kind, f"/c/{obj.metadata.name}", obj, 7, remember=True) for obj in made]
    fresh = [entries.make(kind, f"/c/{obj.metadata.name}", obj, 7) for obj in made[:50]]
    assert [entry.json for entry in found[:50]] == [entry.json for entry in fresh]
    assert [entry.size_bytes for entry in found[:50]] == [len(entry.json) for entry in fresh]
    assert all(entry.value().data == obj.data for entry, obj in zip(found, made, strict=True))
