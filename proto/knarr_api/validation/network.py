"""Services, their endpoints, Ingresses and NetworkPolicies. Source: Kubernetes API reference."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from knarr_api.errors import FieldError
from knarr_api.types import core_v1, discovery_v1, networking_v1
from knarr_api.types.meta_v1 import LabelSelector
from knarr_api.validation import names, placement
from knarr_api.validation.names import forbidden, invalid, one_of, required

PROTOCOLS = ("SCTP", "TCP", "UDP")
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILIES = ("IPv4", "IPv6")
MAX_AFFINITY_S = 86400
SPECIAL_ADDRESSES = (
    ("is_unspecified", "may not be unspecified (0.0.0.0 or ::)"),
    ("is_loopback", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
    ("is_link_local", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
    ("is_multicast", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
)


def target_port(path: str, value: int | str | None) -> Iterator[FieldError]:
    """A number or a name."""
    if isinstance(value, str):
        yield from names.port_name(path, value)
    else:
        yield from names.port_number(path, value)


# Services


def service(obj: core_v1.Service) -> Iterator[FieldError]:
    spec = obj.spec
    headless, external = spec.cluster_ip == "None", spec.type == "ExternalName"
    if not spec.ports and not headless and not external:
        yield required("spec.ports")
    yield from one_of("spec.type", spec.type or "ClusterIP", TYPES)
    if external:
        if spec.cluster_ip not in ("", "None"):
            yield forbidden("spec.clusterIPs[0]", "may not be set when `type` is 'ExternalName'")
        if spec.external_name:
            yield from names.dns_subdomain("spec.externalName", spec.external_name.removesuffix("."))
        else:
            yield required("spec.externalName")
    if spec.type == "LoadBalancer" and headless:
        yield invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services")
    if spec.cluster_ip not in ("", "None"):
        yield from names.ip_address("spec.clusterIP", spec.cluster_ip)
    yield from names.label_map("spec.selector", spec.selector)
    yield from _service_ports(spec)
    yield from one_of("spec.sessionAffinity", spec.session_affinity or "None", ("ClientIP", "None"))
    config = spec.session_affinity_config
    if config is not None and config.client_ip is not None:
        at = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        seconds = config.client_ip.timeout_seconds
        if spec.session_affinity != "ClientIP":
            yield forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")
        elif seconds is not None and not 0 < seconds <= MAX_AFFINITY_S:
            yield invalid(at, seconds, f"must be greater than 0 and less than {MAX_AFFINITY_S}")
    for index, address in enumerate(spec.external_ips):
        yield from _usable_address(f"spec.externalIPs[{index}]", address)
    for index, cidr in enumerate(spec.load_balancer_source_ranges):
        if spec.type != "LoadBalancer":
            yield forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
            break
        yield from names.cidr(f"spec.LoadBalancerSourceRanges[{index}]", cidr)
    for index, family in enumerate(spec.ip_families):
        yield from one_of(f"spec.ipFamilies[{index}]", family, FAMILIES)
    stacks = ("SingleStack", "PreferDualStack", "RequireDualStack")
    yield from one_of("spec.ipFamilyPolicy", spec.ip_family_policy, stacks, may_be_empty=True)
    policies = ("Cluster", "Local")
    yield from one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy, policies, may_be_empty=True)
    yield from one_of("spec.externalTrafficPolicy", spec.external_traffic_policy, policies, may_be_empty=True)
    if spec.external_traffic_policy and spec.type not in ("LoadBalancer", "NodePort") and not spec.external_ips:
        yield invalid(
            "spec.externalTrafficPolicy",
            spec.external_traffic_policy,
            "may only be set for externally-accessible services",
        )
    if spec.load_balancer_class is not None and spec.type != "LoadBalancer":
        yield forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")


def _service_ports(spec: core_v1.ServiceSpec) -> Iterator[FieldError]:
    seen: set[str] = set()
    numbers: set[tuple[str, int | None]] = set()
    for index, port in enumerate(spec.ports):
        at = f"spec.ports[{index}]"
        if not port.name and len(spec.ports) > 1:
            yield required(f"{at}.name")
        elif port.name:
            yield from names.dns_label(f"{at}.name", port.name)
            if port.name in seen:
                yield names.duplicate(f"{at}.name", port.name)
            seen.add(port.name)
        yield from names.port_number(f"{at}.port", port.port or 0)
        yield from one_of(f"{at}.protocol", port.protocol or "TCP", PROTOCOLS)
        yield from target_port(f"{at}.targetPort", port.target_port)
        if port.app_protocol:
            yield from names.qualified_name(f"{at}.appProtocol", port.app_protocol)
        if port.node_port and spec.type in ("", "ClusterIP", "ExternalName"):
            yield forbidden(f"{at}.nodePort", f"may not be used when `type` is '{spec.type or 'ClusterIP'}'")
        elif port.node_port:
            yield from names.port_number(f"{at}.nodePort", port.node_port)
        if (port.protocol, port.port) in numbers:
            yield names.duplicate(at, f"{port.protocol or 'TCP'}:{port.port}")
        numbers.add((port.protocol, port.port))


def _usable_address(path: str, address: str) -> Iterator[FieldError]:
    """One that other machines can reach."""
    wrong = list(names.ip_address(path, address))
    yield from wrong
    if wrong:
        return
    parsed = ipaddress.ip_address(address)
    for attribute, text in SPECIAL_ADDRESSES:
        if getattr(parsed, attribute):
            yield invalid(path, address, text)


def endpoints(obj: core_v1.Endpoints) -> Iterator[FieldError]:
    for number, subset in enumerate(obj.subsets):
        at = f"subsets[{number}]"
        if not subset.addresses and not subset.not_ready_addresses:
            yield required(at, "must specify `addresses` or `notReadyAddresses`")
        for field, addresses in (("addresses", subset.addresses), ("notReadyAddresses", subset.not_ready_addresses)):
            for index, address in enumerate(addresses):
                inner = f"{at}.{field}[{index}]"
                yield from _usable_address(f"{inner}.ip", address.ip)
                if address.hostname:
                    yield from names.dns_label(f"{inner}.hostname", address.hostname)
                if address.node_name:
                    yield from names.dns_subdomain(f"{inner}.nodeName", address.node_name)
        for index, port in enumerate(subset.ports):
            inner = f"{at}.ports[{index}]"
            if not port.name and len(subset.ports) > 1:
                yield required(f"{inner}.name")
            elif port.name:
                yield from names.dns_label(f"{inner}.name", port.name)
            yield from names.port_number(f"{inner}.port", port.port or 0)
            yield from one_of(f"{inner}.protocol", port.protocol or "TCP", PROTOCOLS)


ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MAX_ENDPOINTS, MAX_ADDRESSES, MAX_PORTS = 1000, 100, 20000


def endpoint_slice(obj: discovery_v1.EndpointSlice) -> Iterator[FieldError]:
    if not obj.address_type:
        yield required("addressType")
    else:
        yield from one_of("addressType", obj.address_type, ADDRESS_TYPES)
    if len(obj.endpoints) > MAX_ENDPOINTS:
        yield FieldError("endpoints", f"must have at most {MAX_ENDPOINTS} items", "Too many", len(obj.endpoints))
    for number, endpoint in enumerate(obj.endpoints[:MAX_ENDPOINTS]):
        at = f"endpoints[{number}]"
        if not endpoint.addresses:
            yield required(f"{at}.addresses", "must contain at least 1 address")
        for index, address in enumerate(endpoint.addresses[:MAX_ADDRESSES]):
            inner = f"{at}.addresses[{index}]"
            if obj.address_type == "FQDN":
                yield from names.dns_subdomain(inner, address)
            elif obj.address_type in ("IPv4", "IPv6"):
                wrong = list(_usable_address(inner, address))
                yield from wrong
                if not wrong and f"IPv{ipaddress.ip_address(address).version}" != obj.address_type:
                    yield invalid(inner, address, f"must be a valid {obj.address_type} address")
        if endpoint.node_name:
            yield from names.dns_subdomain(f"{at}.nodeName", endpoint.node_name)
        if endpoint.hostname:
            yield from names.dns_label(f"{at}.hostname", endpoint.hostname)
    seen: set[str] = set()
    for index, slice_port in enumerate(obj.ports):
        at = f"ports[{index}]"
        name = slice_port.name or ""
        if name:
            yield from names.dns_label(f"{at}.name", name)
        if name in seen:
            yield names.duplicate(f"{at}.name", name)
        seen.add(name)
        yield from one_of(f"{at}.protocol", slice_port.protocol or "TCP", PROTOCOLS)
        yield from names.port_number(f"{at}.port", slice_port.port)


# Ingresses


PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
BAD_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
BAD_AT_THE_END = ("/..", "/.")


def ingress(obj: networking_v1.Ingress) -> Iterator[FieldError]:
    spec = obj.spec
    if not spec.rules and spec.default_backend is None:
        yield invalid("spec", "", "either `defaultBackend` or `rules` must be specified")
    if spec.default_backend is not None:
        yield from _backend("spec.defaultBackend", spec.default_backend)
    for index, tls in enumerate(spec.tls):
        for number, host in enumerate(tls.hosts):
            yield from _host(f"spec.tls[{index}].hosts[{number}]", host)
        if tls.secret_name:
            yield from names.dns_subdomain(f"spec.tls[{index}].secretName", tls.secret_name)
    if spec.ingress_class_name is not None:
        yield from names.dns_subdomain("spec.ingressClassName", spec.ingress_class_name)
    for index, rule in enumerate(spec.rules):
        at = f"spec.rules[{index}]"
        if rule.host:
            try:
                ipaddress.ip_address(rule.host)
                yield invalid(f"{at}.host", rule.host, "must be a DNS name, not an IP address")
            except ValueError:
                yield from _host(f"{at}.host", rule.host)
        if rule.http is None:
            continue
        if not rule.http.paths:
            yield required(f"{at}.http.paths")
        for number, path in enumerate(rule.http.paths):
            yield from _path(f"{at}.http.paths[{number}]", path)


def _host(at: str, host: str) -> Iterator[FieldError]:
    if "*" in host and not (host.startswith("*.") and "*" not in host[1:]):
        yield invalid(
            at,
            host,
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. "
            "'*.example.com', regex used for validation is "
            "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        )
    else:
        yield from names.dns_subdomain(at, host.removeprefix("*."))


def _path(at: str, path: networking_v1.HTTPIngressPath) -> Iterator[FieldError]:
    if not path.path_type:
        yield required(f"{at}.pathType", "pathType must be specified")
    else:
        yield from one_of(f"{at}.pathType", path.path_type, PATH_TYPES)
    if path.path_type in ("Exact", "Prefix"):
        if not path.path.startswith("/"):
            yield invalid(f"{at}.path", path.path, "must be an absolute path")
        for part in BAD_IN_PATHS:
            if part in path.path:
                yield invalid(f"{at}.path", path.path, f"must not contain '{part}'")
        for part in BAD_AT_THE_END:
            if path.path.endswith(part):
                yield invalid(f"{at}.path", path.path, f"cannot end with '{part}'")
    elif path.path and not path.path.startswith("/"):
        yield invalid(f"{at}.path", path.path, "must be an absolute path")
    if path.backend is None:
        yield required(f"{at}.backend")
    else:
        yield from _backend(f"{at}.backend", path.backend)


def _backend(at: str, backend: networking_v1.IngressBackend) -> Iterator[FieldError]:
    if backend.resource is not None and backend.service is not None:
        yield invalid(at, "", "cannot set both resource and service backends")
    elif backend.resource is not None:
        for field, value in (("kind", backend.resource.kind), ("name", backend.resource.name)):
            if not value:
                yield required(f"{at}.resource.{field}")
    elif backend.service is None:
        yield required(at, "one of resource or service must be specified")
    else:
        if not backend.service.name:
            yield required(f"{at}.service.name")
        else:
            yield from names.dns_label(f"{at}.service.name", backend.service.name)
        port = backend.service.port
        if port is None or (not port.name and not port.number):
            yield required(f"{at}.service.port", "port name or number is required")
        elif port.name and port.number:
            yield invalid(f"{at}.service.port", "", "cannot set both port name & port number")
        elif port.name:
            yield from names.port_name(f"{at}.service.port.name", port.name)
        else:
            yield from names.port_number(f"{at}.service.port.number", port.number)


def ingress_class(obj: networking_v1.IngressClass) -> Iterator[FieldError]:
    spec = obj.spec
    if len(spec.controller) > 250:
        yield FieldError("spec.controller", "may not be more than 250 bytes", "Too long")
    if spec.controller:
        domain, slash, rest = spec.controller.partition("/")
        if not slash or not rest or list(names.dns_subdomain("", domain)):
            text = 'must be a domain-prefixed path (such as "acme.io/foo")'
            yield invalid("spec.controller", spec.controller, text)
    parameters = spec.parameters
    if parameters is None:
        return
    for field, value in (("kind", parameters.kind), ("name", parameters.name)):
        if not value:
            yield required(f"spec.parameters.{field}", f"{field} is required")
    yield from one_of("spec.parameters.scope", parameters.scope or "Cluster", ("Cluster", "Namespace"))
    if parameters.scope == "Namespace" and not parameters.namespace:
        yield required("spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'")
    if parameters.scope in ("", "Cluster") and parameters.namespace:
        yield forbidden("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'")


# Policies


def network_policy(obj: networking_v1.NetworkPolicy) -> Iterator[FieldError]:
    spec = obj.spec
    yield from placement.label_selector(spec.pod_selector, "spec.podSelector")
    for number, rule in enumerate(spec.ingress):
        yield from _policy_ports(f"spec.ingress[{number}].ports", rule.ports)
        yield from _peers(f"spec.ingress[{number}].from", rule.from_)
    for number, out in enumerate(spec.egress):
        yield from _policy_ports(f"spec.egress[{number}].ports", out.ports)
        yield from _peers(f"spec.egress[{number}].to", out.to)
    if len(spec.policy_types) > 2:
        yield invalid("spec.policyTypes", list(spec.policy_types), "may not specify more than two policyTypes")
    for index, type_ in enumerate(spec.policy_types):
        yield from one_of(f"spec.policyTypes[{index}]", type_, ("Egress", "Ingress"))


def _policy_ports(at: str, ports: tuple[networking_v1.NetworkPolicyPort, ...]) -> Iterator[FieldError]:
    for index, port in enumerate(ports):
        inner = f"{at}[{index}]"
        yield from one_of(f"{inner}.protocol", port.protocol or "TCP", PROTOCOLS)
        yield from target_port(f"{inner}.port", port.port)
        if port.end_port is None:
            continue
        if port.port is None:
            yield required(f"{inner}.endPort", "must be specified when `endPort` is specified")
        elif isinstance(port.port, str):
            yield required(f"{inner}.port", "must be numeric when `endPort` is specified")
        elif port.end_port < port.port:
            yield invalid(f"{inner}.endPort", port.end_port, "must be greater than or equal to `port`")
        yield from names.port_number(f"{inner}.endPort", port.end_port)


def _peers(at: str, peers: tuple[networking_v1.NetworkPolicyPeer, ...]) -> Iterator[FieldError]:
    for index, peer in enumerate(peers):
        inner = f"{at}[{index}]"
        selectors: tuple[tuple[str, LabelSelector | None], ...] = (
            ("podSelector", peer.pod_selector),
            ("namespaceSelector", peer.namespace_selector),
        )
        for field, selector in selectors:
            yield from placement.label_selector(selector, f"{inner}.{field}")
        given = any(selector is not None for _, selector in selectors)
        if peer.ip_block is None:
            if not given:
                yield required(inner, "must specify a peer")
            continue
        if given:
            yield forbidden(inner, "may not specify both ipBlock and another peer")
        yield from _block(f"{inner}.ipBlock", peer.ip_block)


def _block(at: str, block: networking_v1.IPBlock) -> Iterator[FieldError]:
    if not block.cidr:
        yield required(f"{at}.cidr")
        return
    wrong = list(names.cidr(f"{at}.cidr", block.cidr))
    yield from wrong
    for index, cidr in enumerate(block.except_):
        inner = list(names.cidr(f"{at}.except[{index}]", cidr))
        yield from inner
        if not wrong and not inner and not _is_within(cidr, block.cidr):
            text = f'must be a strict subset of `cidr`: "{block.cidr}"'
            yield invalid(f"{at}.except[{index}]", cidr, text)


def _is_within(inner: str, outer: str) -> bool:
    small, large = ipaddress.ip_network(inner, strict=False), ipaddress.ip_network(outer, strict=False)
    if small.version != large.version or small == large:
        return False
    return small.prefixlen > large.prefixlen and small.network_address in large


def ip_address(obj: networking_v1.IPAddress) -> Iterator[FieldError]:
    yield from names.ip_address("metadata.name", obj.metadata.name)
    parent = obj.spec.parent_ref
    if parent is None:
        yield required("spec.parentRef")
        return
    for field, value in (("resource", parent.resource), ("name", parent.name)):
        if not value:
            yield required(f"spec.parentRef.{field}")


def service_cidr(obj: networking_v1.ServiceCIDR) -> Iterator[FieldError]:
    cidrs = obj.spec.cidrs
    if not cidrs:
        yield required("spec.cidrs", "at least one CIDR required")
    if len(cidrs) > 2:
        yield invalid("spec.cidrs", list(cidrs), "may only hold up to 2 values")
    wrong = [problem for index, cidr in enumerate(cidrs) for problem in names.cidr(f"spec.cidrs[{index}]", cidr)]
    yield from wrong
    if len(cidrs) == 2 and not wrong:
        first, second = (ipaddress.ip_network(cidr, strict=False).version for cidr in cidrs)
        if first == second:
            text = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96"
            yield invalid("spec.cidrs", list(cidrs), text)
