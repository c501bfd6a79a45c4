"""Pod specifications, in pods and in templates."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.errors import FieldError
from knarr_api.types.core_v1 import PodSecurityContext, PodSpec
from knarr_api.validation import containers, names, placement, volumes
from knarr_api.validation.names import duplicate, forbidden, invalid, not_negative, one_of, required

MAX_SECONDS = 2**31 - 1
MAX_NAMESERVERS, MAX_SEARCHES = 3, 32
SYSCTL_TEXT = (
    "must have at most 253 characters and match regex "
    "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)


def pod_spec(spec: PodSpec, path: str) -> Iterator[FieldError]:
    """Everything wrong with a specification."""
    volume_names: set[str] = set()
    for index, volume in enumerate(spec.volumes):
        yield from volumes.volume(volume, f"{path}.volumes[{index}]", volume_names)
    if not spec.containers:
        yield required(f"{path}.containers")
    yield from _containers(spec, path, volume_names)
    yield from one_of(f"{path}.restartPolicy", spec.restart_policy, ("Always", "OnFailure", "Never"))
    yield from not_negative(f"{path}.terminationGracePeriodSeconds", spec.termination_grace_period_seconds)
    if spec.active_deadline_seconds is not None and not 1 <= spec.active_deadline_seconds <= MAX_SECONDS:
        text = f"must be between 1 and {MAX_SECONDS}, inclusive"
        yield invalid(f"{path}.activeDeadlineSeconds", spec.active_deadline_seconds, text)
    for field, name in (
        ("nodeName", spec.node_name),
        ("serviceAccountName", spec.service_account_name),
        ("runtimeClassName", spec.runtime_class_name),
        ("priorityClassName", spec.priority_class_name),
        ("schedulerName", spec.scheduler_name),
    ):
        if name:
            yield from names.dns_subdomain(f"{path}.{field}", name)
    for field, name in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        if name:
            yield from names.dns_label(f"{path}.{field}", name)
    yield from _dns(spec, path)
    for index, alias in enumerate(spec.host_aliases):
        yield from names.ip_address(f"{path}.hostAliases[{index}].ip", alias.ip)
        for number, hostname in enumerate(alias.hostnames):
            yield from names.dns_subdomain(f"{path}.hostAliases[{index}].hostnames[{number}]", hostname)
    for index, secret in enumerate(spec.image_pull_secrets):
        if not secret.name:
            yield required(f"{path}.imagePullSecrets[{index}].name")
    for index, gate in enumerate(spec.readiness_gates):
        yield from names.qualified_name(f"{path}.readinessGates[{index}].conditionType", gate.condition_type)
    yield from _gates(spec, path)
    policies = ("Never", "PreemptLowerPriority")
    yield from one_of(f"{path}.preemptionPolicy", spec.preemption_policy or "", policies, may_be_empty=True)
    if spec.os is not None:
        yield from one_of(f"{path}.os.name", spec.os.name, ("linux", "windows"))
    if spec.share_process_namespace and spec.host_pid:
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{path}.shareProcessNamespace", "true", text)
    if spec.host_users is False and (spec.host_network or spec.host_pid or spec.host_ipc):
        which = "hostNetwork" if spec.host_network else "hostPID" if spec.host_pid else "hostIPC"
        yield forbidden(f"{path}.{which}", "when `hostUsers` is false")
    if spec.security_context is not None:
        yield from _security(spec.security_context, f"{path}.securityContext")
    for resource, quantity in spec.overhead.items():
        if quantity.nanos() < 0:
            yield invalid(f"{path}.overhead[{resource}]", str(quantity), "must be greater than or equal to 0")
    yield from placement.placement(spec, path)


def _containers(spec: PodSpec, path: str, volume_names: set[str]) -> Iterator[FieldError]:
    seen: set[str] = set()
    host_ports: set[tuple[str, int, str]] = set()
    for field, group in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(group):
            at = f"{path}.{field}[{index}]"
            host_network = bool(spec.host_network)
            yield from containers.container(container, at, volume_names, host_ports, host_network=host_network)
            if container.name and container.name in seen:
                yield duplicate(f"{at}.name", container.name)
            seen.add(container.name)
            if field == "initContainers":
                yield from containers.init_container(container, at)


def _dns(spec: PodSpec, path: str) -> Iterator[FieldError]:
    policies = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
    yield from one_of(f"{path}.dnsPolicy", spec.dns_policy, policies)
    config = spec.dns_config
    if spec.dns_policy == "None" and (config is None or not config.nameservers):
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield required(f"{path}.dnsConfig.nameservers" if config is not None else f"{path}.dnsConfig", text)
    if config is None:
        return
    if len(config.nameservers) > MAX_NAMESERVERS:
        text = f"must not have more than {MAX_NAMESERVERS} nameservers"
        yield invalid(f"{path}.dnsConfig.nameservers", ",".join(config.nameservers), text)
    for index, address in enumerate(config.nameservers):
        yield from names.ip_address(f"{path}.dnsConfig.nameservers[{index}]", address)
    if len(config.searches) > MAX_SEARCHES:
        yield invalid(f"{path}.dnsConfig.searches", "", f"must not have more than {MAX_SEARCHES} search paths")
    for index, option in enumerate(config.options):
        if not option.name:
            yield required(f"{path}.dnsConfig.options[{index}]", "must not be empty")


def _gates(spec: PodSpec, path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, gate in enumerate(spec.scheduling_gates):
        yield from names.qualified_name(f"{path}.schedulingGates[{index}]", gate.name)
        if gate.name in seen:
            yield duplicate(f"{path}.schedulingGates[{index}]", gate.name)
        seen.add(gate.name)
    if spec.scheduling_gates and spec.node_name:
        yield forbidden(f"{path}.nodeName", "cannot be set until all schedulingGates have been cleared")


def _security(given: PodSecurityContext, path: str) -> Iterator[FieldError]:
    yield from containers.user_id(f"{path}.runAsUser", given.run_as_user)
    yield from containers.user_id(f"{path}.runAsGroup", given.run_as_group)
    yield from containers.user_id(f"{path}.fsGroup", given.fs_group)
    for index, group in enumerate(given.supplemental_groups):
        yield from containers.user_id(f"{path}.supplementalGroups[{index}]", group)
    if given.seccomp_profile is not None:
        profile = given.seccomp_profile
        yield from containers.seccomp(profile.type, profile.localhost_profile or "", f"{path}.seccompProfile")
    if given.app_armor_profile is not None:
        yield from containers.apparmor(given.app_armor_profile, f"{path}.appArmorProfile")
    seen: set[str] = set()
    for index, sysctl in enumerate(given.sysctls):
        at = f"{path}.sysctls[{index}].name"
        if not sysctl.name:
            yield required(at)
        elif len(sysctl.name) > 253 or not names.SYSCTL.fullmatch(sysctl.name):
            yield invalid(at, sysctl.name, SYSCTL_TEXT)
        elif sysctl.name in seen:
            yield duplicate(at, sysctl.name)
        seen.add(sysctl.name)
