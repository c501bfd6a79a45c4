"""Values of k8s.io.api.discovery.v1.

Generated from knarr_proto/k8s/discovery_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.numbers import Int32
from knarr_api.types import core_v1, meta_v1


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.discovery.v1.Endpoint"""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions | None = None
    hostname: str = ""
    target_ref: core_v1.ObjectReference | None = None
    deprecated_topology: dict[str, str] = msgspec.field(default_factory=dict)
    node_name: str = ""
    zone: str = ""
    hints: EndpointHints | None = None


class EndpointConditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.discovery.v1.EndpointConditions"""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class EndpointHints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.discovery.v1.EndpointHints"""

    for_zones: tuple[ForZone, ...] = ()
    for_nodes: tuple[ForNode, ...] = ()


class EndpointPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.discovery.v1.EndpointPort"""

    name: str | None = None
    protocol: str = ""
    port: Int32 | None = None
    app_protocol: str = ""


class EndpointSlice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Addresses behind a service, at most a few hundred in each slice."""

    api_version: str = msgspec.field(default_factory=lambda: "discovery.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "EndpointSlice")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    address_type: str = ""


class EndpointSliceList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.discovery.v1.EndpointSliceList"""

    api_version: str = msgspec.field(default_factory=lambda: "discovery.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "EndpointSliceList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[EndpointSlice, ...] = ()


class ForNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.discovery.v1.ForNode"""

    name: str = ""


class ForZone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.discovery.v1.ForZone"""

    name: str = ""
