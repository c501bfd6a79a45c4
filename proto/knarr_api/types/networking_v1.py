"""Values of k8s.io.api.networking.v1.

Generated from knarr_proto/k8s/networking_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.numbers import Int32
from knarr_api.types import core_v1, meta_v1


class HTTPIngressPath(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.HTTPIngressPath"""

    path: str = ""
    backend: IngressBackend | None = None
    path_type: str = ""


class HTTPIngressRuleValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.HTTPIngressRuleValue"""

    paths: tuple[HTTPIngressPath, ...] = ()


class IPAddressSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.IPAddressSpec"""

    parent_ref: ParentReference | None = None


class IPAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IPAddress"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "IPAddress")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: IPAddressSpec = IPAddressSpec()


class IPAddressList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IPAddressList"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "IPAddressList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[IPAddress, ...] = ()


class IPBlock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.IPBlock"""

    cidr: str = ""
    except_: tuple[str, ...] = ()


class IngressSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.IngressSpec"""

    default_backend: IngressBackend | None = None
    tls: tuple[IngressTLS, ...] = ()
    rules: tuple[IngressRule, ...] = ()
    ingress_class_name: str | None = None


class IngressStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.IngressStatus"""

    load_balancer: IngressLoadBalancerStatus | None = None


class Ingress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.Ingress"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Ingress")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()


class IngressBackend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressBackend"""

    resource: core_v1.TypedLocalObjectReference | None = None
    service: IngressServiceBackend | None = None


class IngressClassSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressClassSpec"""

    controller: str = ""
    parameters: IngressClassParametersReference | None = None


class IngressClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressClass"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "IngressClass")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: IngressClassSpec = IngressClassSpec()


class IngressClassList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressClassList"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "IngressClassList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[IngressClass, ...] = ()


class IngressClassParametersReference(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.networking.v1.IngressClassParametersReference"""

    api_group: str = ""
    kind: str = ""
    name: str = ""
    scope: str = ""
    namespace: str = ""


class IngressList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressList"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "IngressList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Ingress, ...] = ()


class IngressLoadBalancerIngress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressLoadBalancerIngress"""

    ip: str = ""
    hostname: str = ""
    ports: tuple[IngressPortStatus, ...] = ()


class IngressLoadBalancerStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressLoadBalancerStatus"""

    ingress: tuple[IngressLoadBalancerIngress, ...] = ()


class IngressPortStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressPortStatus"""

    port: Int32 | None = None
    protocol: str = ""
    error: str = ""


class IngressRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressRule"""

    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressRuleValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressRuleValue"""

    http: HTTPIngressRuleValue | None = None


class IngressServiceBackend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.IngressServiceBackend"""

    name: str = ""
    port: ServiceBackendPort | None = None


class IngressTLS(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.IngressTLS"""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class NetworkPolicySpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.NetworkPolicySpec"""

    pod_selector: meta_v1.LabelSelector | None = None
    ingress: tuple[NetworkPolicyIngressRule, ...] = ()
    egress: tuple[NetworkPolicyEgressRule, ...] = ()
    policy_types: tuple[str, ...] = ()


class NetworkPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Which traffic the selected pods accept and send; pods that no policy selects accept everything."""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "NetworkPolicy")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: NetworkPolicySpec = NetworkPolicySpec()


class NetworkPolicyEgressRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.NetworkPolicyEgressRule"""

    ports: tuple[NetworkPolicyPort, ...] = ()
    to: tuple[NetworkPolicyPeer, ...] = ()


class NetworkPolicyIngressRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.NetworkPolicyIngressRule"""

    ports: tuple[NetworkPolicyPort, ...] = ()
    from_: tuple[NetworkPolicyPeer, ...] = ()


class NetworkPolicyList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.NetworkPolicyList"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "NetworkPolicyList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[NetworkPolicy, ...] = ()


class NetworkPolicyPeer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.NetworkPolicyPeer"""

    pod_selector: meta_v1.LabelSelector | None = None
    namespace_selector: meta_v1.LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.networking.v1.NetworkPolicyPort"""

    protocol: str = ""
    port: Int32 | str | None = None
    end_port: Int32 | None = None


class ParentReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.ParentReference"""

    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


class ServiceBackendPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.ServiceBackendPort"""

    name: str = ""
    number: Int32 | None = None


class ServiceCIDRSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.ServiceCIDRSpec"""

    cidrs: tuple[str, ...] = ()


class ServiceCIDRStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.ServiceCIDRStatus"""

    conditions: tuple[meta_v1.Condition, ...] = ()


class ServiceCIDR(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.ServiceCIDR"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ServiceCIDR")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ServiceCIDRSpec = ServiceCIDRSpec()
    status: ServiceCIDRStatus = ServiceCIDRStatus()


class ServiceCIDRList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.networking.v1.ServiceCIDRList"""

    api_version: str = msgspec.field(default_factory=lambda: "networking.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ServiceCIDRList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ServiceCIDR, ...] = ()
