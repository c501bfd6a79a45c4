"""Values of k8s.io.api.scheduling.v1.

Generated from knarr_proto/k8s/scheduling_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.numbers import Int32
from knarr_api.types import meta_v1


class PriorityClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.scheduling.v1.PriorityClass"""

    api_version: str = msgspec.field(default_factory=lambda: "scheduling.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PriorityClass")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    value: Int32 | None = None
    global_default: bool | None = None
    description: str = ""
    preemption_policy: str = ""


class PriorityClassList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.scheduling.v1.PriorityClassList"""

    api_version: str = msgspec.field(default_factory=lambda: "scheduling.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PriorityClassList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PriorityClass, ...] = ()
