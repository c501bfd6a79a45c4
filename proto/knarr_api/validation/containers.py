"""Containers of pods: image, environment, ports, resources, probes, hooks, security."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.errors import FieldError
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    AppArmorProfile,
    Container,
    ContainerPort,
    EnvFromSource,
    EnvVar,
    LifecycleHandler,
    Probe,
    ResourceRequirements,
    SecurityContext,
)
from knarr_api.validation import names, volumes
from knarr_api.validation.names import (
    duplicate,
    forbidden,
    invalid,
    not_negative,
    one_of,
    positive,
    required,
)

FIELD_PATHS = (
    *("metadata.name", "metadata.namespace", "metadata.uid"),
    *("spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
FIELD_RESOURCES = (
    *("limits.cpu", "limits.ephemeral-storage", "limits.memory"),
    *("requests.cpu", "requests.ephemeral-storage", "requests.memory"),
)
STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
ENVIRONMENT_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"
MAX_ID = 2**31 - 1
MAX_APPARMOR_NAME = 4095
HANDLERS = ("exec_", "http_get", "tcp_socket", "sleep")
PROBES = ("exec_", "http_get", "tcp_socket", "grpc")


def container(
    given: Container, path: str, volume_names: set[str], host_ports: set[tuple[str, int, str]], *, host_network: bool
) -> Iterator[FieldError]:
    """One container; ``host_ports`` collects those of the pod."""
    if not given.name:
        yield required(f"{path}.name")
    else:
        yield from names.dns_label(f"{path}.name", given.name)
    if not given.image:
        yield required(f"{path}.image")
    elif given.image != given.image.strip():
        yield invalid(f"{path}.image", given.image, "must not have leading or trailing whitespace")
    yield from one_of(f"{path}.imagePullPolicy", given.image_pull_policy, ("Always", "IfNotPresent", "Never"))
    messages = ("FallbackToLogsOnError", "File")
    yield from one_of(f"{path}.terminationMessagePolicy", given.termination_message_policy, messages, may_be_empty=True)
    port_names: set[str] = set()
    for index, port in enumerate(given.ports):
        yield from _port(port, f"{path}.ports[{index}]", port_names, host_ports, host_network=host_network)
    for index, variable in enumerate(given.env):
        yield from _env(variable, f"{path}.env[{index}]")
    for index, source in enumerate(given.env_from):
        yield from _env_from(source, f"{path}.envFrom[{index}]")
    yield from resources(given.resources, f"{path}.resources")
    targets: set[str] = set()
    for index, mount in enumerate(given.volume_mounts):
        yield from volumes.mount(mount, f"{path}.volumeMounts[{index}]", volume_names, targets)
    for field, probe in (
        ("livenessProbe", given.liveness_probe),
        ("readinessProbe", given.readiness_probe),
        ("startupProbe", given.startup_probe),
    ):
        if probe is not None:
            yield from _probe(probe, f"{path}.{field}")
            if field != "readinessProbe" and probe.success_threshold not in (None, 1):
                yield invalid(f"{path}.{field}.successThreshold", probe.success_threshold, "must be 1")
            if field == "readinessProbe" and probe.termination_grace_period_seconds is not None:
                at = f"{path}.{field}.terminationGracePeriodSeconds"
                yield invalid(at, probe.termination_grace_period_seconds, "must not be set for readinessProbes")
    if given.lifecycle is not None:
        for field, handler in (("postStart", given.lifecycle.post_start), ("preStop", given.lifecycle.pre_stop)):
            if handler is not None:
                yield from _handler(handler, f"{path}.lifecycle.{field}")
    if given.security_context is not None:
        yield from _security(given.security_context, f"{path}.securityContext")


def init_container(given: Container, path: str) -> Iterator[FieldError]:
    """What an init container may not have, unless it is a sidecar."""
    if given.restart_policy:
        yield from one_of(f"{path}.restartPolicy", given.restart_policy, ("Always", "Never", "OnFailure"))
    if given.restart_policy == "Always":
        return
    for field, present in (
        ("lifecycle", given.lifecycle),
        ("livenessProbe", given.liveness_probe),
        ("readinessProbe", given.readiness_probe),
        ("startupProbe", given.startup_probe),
    ):
        if present is not None:
            yield forbidden(f"{path}.{field}", "may not be set for init containers without restartPolicy=Always")


def _port(
    port: ContainerPort,
    path: str,
    port_names: set[str],
    host_ports: set[tuple[str, int, str]],
    *,
    host_network: bool,
) -> Iterator[FieldError]:
    if port.name:
        yield from names.port_name(f"{path}.name", port.name)
        if port.name in port_names:
            yield duplicate(f"{path}.name", port.name)
        port_names.add(port.name)
    if not port.container_port:
        yield required(f"{path}.containerPort")
    else:
        yield from names.port_number(f"{path}.containerPort", port.container_port)
    if port.host_port:
        yield from names.port_number(f"{path}.hostPort", port.host_port)
        key = (port.host_ip, port.host_port, port.protocol)
        if key in host_ports:
            yield duplicate(f"{path}.hostPort", f"{port.protocol}/{port.host_ip}/{port.host_port}")
        host_ports.add(key)
        if host_network and port.host_port != port.container_port:
            yield invalid(f"{path}.hostPort", port.host_port, "must match `containerPort` when `hostNetwork` is true")
    if port.host_ip:
        yield from names.ip_address(f"{path}.hostIP", port.host_ip)
    yield from one_of(f"{path}.protocol", port.protocol, ("SCTP", "TCP", "UDP"))


def _env(variable: EnvVar, path: str) -> Iterator[FieldError]:
    if not variable.name:
        yield required(f"{path}.name")
    elif not names.ENVIRONMENT.fullmatch(variable.name):
        yield invalid(f"{path}.name", variable.name, ENVIRONMENT_TEXT)
    source = variable.value_from
    if source is None:
        return
    at = f"{path}.valueFrom"
    given = [name for name in source.__struct_fields__ if getattr(source, name) is not None]
    if not given:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        yield invalid(at, "", text)
    elif len(given) > 1:
        yield invalid(at, "", "may not have more than one field specified at a time")
    if variable.value:
        yield invalid(at, "", "may not be specified when `value` is not empty")
    if source.field_ref is not None:
        yield from volumes.field_path(f"{at}.fieldRef.fieldPath", source.field_ref.field_path, FIELD_PATHS)
    for field, selector in (("configMapKeyRef", source.config_map_key_ref), ("secretKeyRef", source.secret_key_ref)):
        if selector is not None:
            if not selector.name:
                yield required(f"{at}.{field}.name")
            if not selector.key:
                yield required(f"{at}.{field}.key")
            else:
                yield from names.data_key(f"{at}.{field}.key", selector.key)
    if source.resource_field_ref is not None:
        resource = source.resource_field_ref.resource
        if not resource:
            yield required(f"{at}.resourceFieldRef.resource")
        elif resource not in FIELD_RESOURCES and "hugepages-" not in resource:
            yield names.unsupported(f"{at}.resourceFieldRef.resource", resource, FIELD_RESOURCES)


def _env_from(source: EnvFromSource, path: str) -> Iterator[FieldError]:
    if source.prefix and not names.ENVIRONMENT.fullmatch(source.prefix):
        yield invalid(f"{path}.prefix", source.prefix, ENVIRONMENT_TEXT)
    if source.config_map_ref is None and source.secret_ref is None:
        yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
    elif source.config_map_ref is not None and source.secret_ref is not None:
        yield invalid(path, "", "may not have more than one field specified at a time")
    for field, reference in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)):
        if reference is not None and not reference.name:
            yield required(f"{path}.{field}.name")


def resources(given: ResourceRequirements, path: str) -> Iterator[FieldError]:
    """Requests and limits: known names, no negative amounts, no request above its limit."""
    for field, amounts in (("limits", given.limits), ("requests", given.requests)):
        for resource, quantity in amounts.items():
            at = f"{path}.{field}[{resource}]"
            if "/" in resource:
                yield from names.qualified_name(at, resource)
            elif resource not in STANDARD_RESOURCES and not resource.startswith("hugepages-"):
                yield invalid(at, resource, "must be a standard resource for containers")
            if quantity.nanos() < 0:
                yield invalid(at, str(quantity), "must be greater than or equal to 0")
            elif "/" in resource and quantity.milli() % 1000:
                yield invalid(at, str(quantity), "must be an integer")
    for resource, quantity in given.requests.items():
        limit: Quantity | None = given.limits.get(resource)
        overcommit = resource in STANDARD_RESOURCES
        if limit is not None and limit < quantity:
            text = f"must be less than or equal to {resource} limit of {limit}"
            yield invalid(f"{path}.requests", str(quantity), text)
        elif not overcommit and limit is not None and limit != quantity:
            yield invalid(f"{path}.requests", str(quantity), f"must be equal to {resource} limit of {limit}")
        elif not overcommit and limit is None:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def _action(path: str, port: int | str | None) -> Iterator[FieldError]:
    if port is None or port == "":
        yield required(f"{path}.port")
    elif isinstance(port, int):
        yield from names.port_number(f"{path}.port", port)
    else:
        yield from names.port_name(f"{path}.port", port)


def _handler(handler: LifecycleHandler, path: str) -> Iterator[FieldError]:
    given = [name for name in HANDLERS if getattr(handler, name) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for extra in given[1:]:
        yield forbidden(f"{path}.{names.camel(extra)}", "may not specify more than 1 handler type")
    yield from _actions(handler, path)
    if handler.sleep is not None and (handler.sleep.seconds or 0) < 0:
        yield invalid(f"{path}.sleep.seconds", handler.sleep.seconds, "must be greater than or equal to 0")


def _probe(probe: Probe, path: str) -> Iterator[FieldError]:
    given = [name for name in PROBES if getattr(probe, name) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for extra in given[1:]:
        yield forbidden(f"{path}.{names.camel(extra)}", "may not specify more than 1 handler type")
    yield from _actions(probe, path)
    if probe.grpc is not None:
        if not probe.grpc.port:
            yield required(f"{path}.grpc.port")
        else:
            yield from names.port_number(f"{path}.grpc.port", probe.grpc.port)
    yield from not_negative(f"{path}.initialDelaySeconds", probe.initial_delay_seconds)
    yield from positive(f"{path}.timeoutSeconds", probe.timeout_seconds)
    yield from positive(f"{path}.periodSeconds", probe.period_seconds)
    yield from positive(f"{path}.successThreshold", probe.success_threshold)
    yield from positive(f"{path}.failureThreshold", probe.failure_threshold)
    yield from positive(f"{path}.terminationGracePeriodSeconds", probe.termination_grace_period_seconds)


def _actions(given: Probe | LifecycleHandler, path: str) -> Iterator[FieldError]:
    if given.exec_ is not None and not given.exec_.command:
        yield required(f"{path}.exec.command")
    if given.tcp_socket is not None:
        yield from _action(f"{path}.tcpSocket", given.tcp_socket.port)
    if given.http_get is None:
        return
    yield from _action(f"{path}.httpGet", given.http_get.port)
    if not given.http_get.path:
        yield required(f"{path}.httpGet.path")
    yield from one_of(f"{path}.httpGet.scheme", given.http_get.scheme, ("HTTP", "HTTPS"))
    for index, header in enumerate(given.http_get.http_headers):
        if not names.HEADER.fullmatch(header.name):
            text = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name')"
            yield invalid(f"{path}.httpGet.httpHeaders[{index}].name", header.name, text)


def _security(given: SecurityContext, path: str) -> Iterator[FieldError]:
    yield from user_id(f"{path}.runAsUser", given.run_as_user)
    yield from user_id(f"{path}.runAsGroup", given.run_as_group)
    yield from one_of(f"{path}.procMount", given.proc_mount or "", ("Default", "Unmasked"), may_be_empty=True)
    if given.allow_privilege_escalation is False:
        if given.privileged:
            yield invalid(path, "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        added = given.capabilities.add if given.capabilities is not None else ()
        if "CAP_SYS_ADMIN" in added or "SYS_ADMIN" in added:
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield invalid(path, "", text)
    if given.seccomp_profile is not None:
        profile = given.seccomp_profile
        yield from seccomp(profile.type, profile.localhost_profile or "", f"{path}.seccompProfile")
    if given.app_armor_profile is not None:
        yield from apparmor(given.app_armor_profile, f"{path}.appArmorProfile")


def apparmor(profile: AppArmorProfile, path: str) -> Iterator[FieldError]:
    """Of a container or a pod."""
    name = profile.localhost_profile
    yield from one_of(f"{path}.type", profile.type, ("Localhost", "RuntimeDefault", "Unconfined"))
    if profile.type != "Localhost":
        if name:
            yield invalid(f"{path}.localhostProfile", name, "can only be set when AppArmor type is Localhost")
    elif not name:
        yield required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost")
    elif name != name.strip():
        yield invalid(f"{path}.localhostProfile", name, "must not be padded with whitespace")
    elif len(name) > MAX_APPARMOR_NAME:
        yield FieldError(f"{path}.localhostProfile", f"may not be more than {MAX_APPARMOR_NAME} bytes", "Too long")


def seccomp(type_: str, file: str, path: str) -> Iterator[FieldError]:
    """Of a container or a pod."""
    yield from one_of(f"{path}.type", type_, ("Localhost", "RuntimeDefault", "Unconfined"))
    if type_ == "Localhost":
        if not file:
            yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            yield from volumes.relative(f"{path}.localhostProfile", file)
    elif file:
        yield invalid(f"{path}.localhostProfile", file, "can only be set when seccomp type is Localhost")


def user_id(path: str, value: int | None) -> Iterator[FieldError]:
    """Of a user or a group."""
    if value is not None and not 0 <= value <= MAX_ID:
        yield invalid(path, value, f"must be between 0 and {MAX_ID}, inclusive")
