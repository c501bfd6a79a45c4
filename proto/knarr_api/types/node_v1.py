"""Values of k8s.io.api.node.v1.

Generated from knarr_proto/k8s/node_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.quantity import Quantity
from knarr_api.types import core_v1, meta_v1


class Overhead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.node.v1.Overhead"""

    pod_fixed: dict[str, Quantity] = msgspec.field(default_factory=dict)


class RuntimeClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.node.v1.RuntimeClass"""

    api_version: str = msgspec.field(default_factory=lambda: "node.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "RuntimeClass")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    handler: str = ""
    overhead: Overhead | None = None
    scheduling: Scheduling | None = None


class RuntimeClassList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.node.v1.RuntimeClassList"""

    api_version: str = msgspec.field(default_factory=lambda: "node.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "RuntimeClassList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[RuntimeClass, ...] = ()


class Scheduling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.node.v1.Scheduling"""

    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[core_v1.Toleration, ...] = ()
