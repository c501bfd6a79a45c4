"""Defaults of kinds that are stored and served: services, volumes, roles, what has a say in admission."""

from __future__ import annotations

import msgspec

from knarr_api.defaults.fill import change, each, fill, template
from knarr_api.types import (
    admissionregistration_v1,
    core_v1,
    discovery_v1,
    networking_v1,
    rbac_v1,
    scheduling_v1,
    storage_v1,
)
from knarr_api.types.meta_v1 import LabelSelector

RBAC = "rbac.authorization.k8s.io"
AFFINITY_S = 10800
EXTERNAL = ("LoadBalancer", "NodePort")


def service(given: core_v1.Service) -> core_v1.Service:
    spec = fill(given.spec, type="ClusterIP", session_affinity="None")
    spec = change(spec, ports=each(spec.ports, _service_port))
    if spec.type in EXTERNAL:
        spec = fill(spec, external_traffic_policy="Cluster")
    if spec.type == "LoadBalancer":
        spec = fill(spec, allocate_load_balancer_node_ports=True)
    if spec.type != "ExternalName":
        spec = fill(spec, internal_traffic_policy="Cluster")
    if spec.session_affinity == "ClientIP" and spec.session_affinity_config is None:
        client = core_v1.ClientIPConfig(timeout_seconds=AFFINITY_S)
        spec = change(spec, session_affinity_config=core_v1.SessionAffinityConfig(client_ip=client))
    return change(given, spec=spec)


def _service_port(given: core_v1.ServicePort) -> core_v1.ServicePort:
    return fill(given, protocol="TCP", target_port=given.port)


def endpoints(given: core_v1.Endpoints) -> core_v1.Endpoints:
    def subset(one: core_v1.EndpointSubset) -> core_v1.EndpointSubset:
        return change(one, ports=each(one.ports, lambda port: fill(port, protocol="TCP")))

    return change(given, subsets=each(given.subsets, subset))


def endpoint_slice(given: discovery_v1.EndpointSlice) -> discovery_v1.EndpointSlice:
    def port(one: discovery_v1.EndpointPort) -> discovery_v1.EndpointPort:
        named = one if one.name is not None else msgspec.structs.replace(one, name="")
        return fill(named, protocol="TCP")

    return change(given, ports=each(given.ports, port))


def network_policy(given: networking_v1.NetworkPolicy) -> networking_v1.NetworkPolicy:
    spec = given.spec

    def port(one: networking_v1.NetworkPolicyPort) -> networking_v1.NetworkPolicyPort:
        return fill(one, protocol="TCP")

    ingress = each(spec.ingress, lambda rule: change(rule, ports=each(rule.ports, port)))
    egress = each(spec.egress, lambda rule: change(rule, ports=each(rule.ports, port)))
    types = ("Ingress", "Egress") if spec.egress else ("Ingress",)
    return change(given, spec=change(fill(spec, policy_types=types), ingress=ingress, egress=egress))


def ingress_class(given: networking_v1.IngressClass) -> networking_v1.IngressClass:
    parameters = given.spec.parameters
    if parameters is None:
        return given
    return change(given, spec=change(given.spec, parameters=fill(parameters, scope="Cluster")))


def volume(given: core_v1.PersistentVolume) -> core_v1.PersistentVolume:
    spec = fill(given.spec, persistent_volume_reclaim_policy="Retain", volume_mode="Filesystem")
    return change(given, spec=spec, status=fill(given.status, phase="Pending"))


def storage_class(given: storage_v1.StorageClass) -> storage_v1.StorageClass:
    return fill(given, reclaim_policy="Delete", volume_binding_mode="Immediate")


def pod_template(given: core_v1.PodTemplate) -> core_v1.PodTemplate:
    return change(given, template=template(given.template)) if given.template is not None else given


def priority_class(given: scheduling_v1.PriorityClass) -> scheduling_v1.PriorityClass:
    return fill(given, preemption_policy="PreemptLowerPriority")


def _subject(given: rbac_v1.Subject) -> rbac_v1.Subject:
    return fill(given, api_group=RBAC) if given.kind in ("User", "Group") else given


def role_binding(given: rbac_v1.RoleBinding) -> rbac_v1.RoleBinding:
    reference = given.role_ref
    reference = fill(reference, api_group=RBAC) if reference is not None else None
    return change(given, role_ref=reference, subjects=each(given.subjects, _subject))


def cluster_role_binding(given: rbac_v1.ClusterRoleBinding) -> rbac_v1.ClusterRoleBinding:
    reference = given.role_ref
    reference = fill(reference, api_group=RBAC) if reference is not None else None
    return change(given, role_ref=reference, subjects=each(given.subjects, _subject))


def mutating(
    given: admissionregistration_v1.MutatingWebhookConfiguration,
) -> admissionregistration_v1.MutatingWebhookConfiguration:
    def hook(one: admissionregistration_v1.MutatingWebhook) -> admissionregistration_v1.MutatingWebhook:
        filled = fill(
            one,
            failure_policy="Fail",
            match_policy="Equivalent",
            reinvocation_policy="Never",
            timeout_seconds=10,
            namespace_selector=LabelSelector(),
            object_selector=LabelSelector(),
        )
        return change(filled, rules=each(filled.rules, lambda rule: fill(rule, scope="*")))

    return change(given, webhooks=each(given.webhooks, hook))


def validating(
    given: admissionregistration_v1.ValidatingWebhookConfiguration,
) -> admissionregistration_v1.ValidatingWebhookConfiguration:
    def hook(one: admissionregistration_v1.ValidatingWebhook) -> admissionregistration_v1.ValidatingWebhook:
        filled = fill(
            one,
            failure_policy="Fail",
            match_policy="Equivalent",
            timeout_seconds=10,
            namespace_selector=LabelSelector(),
            object_selector=LabelSelector(),
        )
        return change(filled, rules=each(filled.rules, lambda rule: fill(rule, scope="*")))

    return change(given, webhooks=each(given.webhooks, hook))
