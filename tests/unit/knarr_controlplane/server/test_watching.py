"""What watchers are sent."""

from __future__ import annotations

import pytest

from knarr_api import kinds
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache import entries
from knarr_controlplane.cache.changes import Change, ChangeType
from knarr_controlplane.server import documents
from knarr_controlplane.server.documents import Form
from knarr_controlplane.server.watching import SharedEvents

KIND = kinds.of(ConfigMap)


def config_map(size: int) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name="a", namespace="b", uid="c"), data={"text": "x" * size})


@pytest.mark.parametrize("type_", [ChangeType.ADDED, ChangeType.MODIFIED, ChangeType.DELETED])
@pytest.mark.parametrize("size", [0, 100, 20_000, 3_000_000])
def test_an_event_put_together_by_hand_is_what_protobuf_writes(size: int, type_: ChangeType) -> None:
    change = Change(type_, entries.make(KIND, "/registry/core/configmaps/b/a", config_map(size), 77 << 8), 78 << 8)
    for form in (Form(), Form(documents.PROTOBUF)):
        sent = SharedEvents().response(KIND, [change, change], form, initial=False, shared=False)
        once = documents.watch_response(KIND, change, form, initial=False).SerializeToString()
        assert sent == once + once
