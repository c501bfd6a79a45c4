"""Pod specifications, in pods and in templates."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.defaults.fill import SOURCES as SOURCES
from knarr_api.errors import FieldError, Invalid
from knarr_api.labels import Selector
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    Container,
    EnvVar,
    NodeSelectorTerm,
    PodSpec,
    Probe,
    ResourceRequirements,
    Toleration,
    Volume,
    VolumeMount,
)
from knarr_api.validation import names
from knarr_api.validation.names import duplicate, forbidden, invalid, not_negative, one_of, positive, required

FIELD_PATHS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"),
    *("spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
MAX_GRACE_S = 2**31
WHOLE_RESOURCES = ("pods",)


def pod_spec(spec: PodSpec, path: str) -> Iterator[FieldError]:
    """Everything wrong with a specification."""
    volumes: set[str] = set()
    for index, volume in enumerate(spec.volumes):
        yield from _volume(volume, f"{path}.volumes[{index}]", volumes)
    if not spec.containers:
        yield required(f"{path}.containers")
    seen: set[str] = set()
    host_ports: set[tuple[str, int, str]] = set()
    for field, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            at = f"{path}.{field}[{index}]"
            yield from _container(container, at, volumes, host_ports)
            if container.name in seen:
                yield duplicate(f"{at}.name", container.name)
            seen.add(container.name)
            if field == "initContainers" and container.restart_policy != "Always":
                for name in ("liveness_probe", "readiness_probe", "startup_probe", "lifecycle"):
                    if getattr(container, name) is not None:
                        camel = {"lifecycle": "lifecycle"}.get(name, name.split("_")[0] + "Probe")
                        yield forbidden(
                            f"{at}.{camel}", "may not be set for init containers without restartPolicy=Always"
                        )
    yield from one_of(f"{path}.restartPolicy", spec.restart_policy, ("Always", "OnFailure", "Never"))
    yield from one_of(
        f"{path}.dnsPolicy", spec.dns_policy, ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
    )
    yield from not_negative(f"{path}.terminationGracePeriodSeconds", spec.termination_grace_period_seconds)
    yield from positive(f"{path}.activeDeadlineSeconds", spec.active_deadline_seconds)
    yield from names.label_map(f"{path}.nodeSelector", spec.node_selector)
    if spec.node_name:
        yield from names.dns_subdomain(f"{path}.nodeName", spec.node_name)
    if spec.hostname:
        yield from names.dns_label(f"{path}.hostname", spec.hostname)
    if spec.subdomain:
        yield from names.dns_label(f"{path}.subdomain", spec.subdomain)
    for index, toleration in enumerate(spec.tolerations):
        yield from _toleration(toleration, f"{path}.tolerations[{index}]")
    yield from _affinity(spec, path)
    yield from _spread(spec, path)


def _volume(volume: Volume, path: str, seen: set[str]) -> Iterator[FieldError]:
    if not volume.name:
        yield required(f"{path}.name")
    else:
        yield from names.dns_label(f"{path}.name", volume.name)
        if volume.name in seen:
            yield duplicate(f"{path}.name", volume.name)
        seen.add(volume.name)
    given = [name for name in SOURCES if getattr(volume, name) is not None]
    if not given:
        yield required(path, "must specify a volume type")
    elif len(given) > 1:
        yield forbidden(path, f"may not specify more than 1 volume type ({', '.join(given)})")
    if volume.host_path is not None:
        if not volume.host_path.path:
            yield required(f"{path}.hostPath.path")
        elif ".." in volume.host_path.path.split("/"):
            yield invalid(f"{path}.hostPath.path", volume.host_path.path, "must not contain '..'")
        kinds = ("", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
        yield from one_of(f"{path}.hostPath.type", volume.host_path.type or "", kinds)
    if volume.config_map is not None and not volume.config_map.name:
        yield required(f"{path}.configMap.name")
    if volume.secret is not None and not volume.secret.secret_name:
        yield required(f"{path}.secret.secretName")
    if volume.empty_dir is not None:
        limit = volume.empty_dir.size_limit
        if limit is not None and limit.milli() < 0:
            yield invalid(f"{path}.emptyDir.sizeLimit", str(limit), "must be greater than or equal to 0")
        yield from one_of(
            f"{path}.emptyDir.medium", volume.empty_dir.medium, ("Memory", "HugePages"), may_be_empty=True
        )
    for field, source in (("configMap", volume.config_map), ("secret", volume.secret)):
        if source is None:
            continue
        if source.default_mode is not None and not 0 <= source.default_mode <= 0o777:
            yield invalid(
                f"{path}.{field}.defaultMode",
                source.default_mode,
                "must be a number between 0 and 0777 (octal), both inclusive",
            )
        for index, item in enumerate(source.items):
            at = f"{path}.{field}.items[{index}]"
            if not item.key:
                yield required(f"{at}.key")
            if not item.path:
                yield required(f"{at}.path")
            elif item.path.startswith("/") or ".." in item.path.split("/"):
                yield invalid(f"{at}.path", item.path, "must be a relative path and not contain '..'")


def _container(
    container: Container, path: str, volumes: set[str], host_ports: set[tuple[str, int, str]]
) -> Iterator[FieldError]:
    if not container.name:
        yield required(f"{path}.name")
    else:
        yield from names.dns_label(f"{path}.name", container.name)
    if not container.image:
        yield required(f"{path}.image")
    elif container.image != container.image.strip():
        yield invalid(f"{path}.image", container.image, "must not have leading or trailing whitespace")
    yield from one_of(f"{path}.imagePullPolicy", container.image_pull_policy, ("Always", "IfNotPresent", "Never"))
    yield from one_of(
        f"{path}.terminationMessagePolicy",
        container.termination_message_policy,
        ("File", "FallbackToLogsOnError"),
        may_be_empty=True,
    )
    port_names: set[str] = set()
    for index, port in enumerate(container.ports):
        at = f"{path}.ports[{index}]"
        if port.name:
            yield from names.port_name(f"{at}.name", port.name)
            if port.name in port_names:
                yield duplicate(f"{at}.name", port.name)
            port_names.add(port.name)
        if not port.container_port:
            yield required(f"{at}.containerPort")
        else:
            yield from names.port_number(f"{at}.containerPort", port.container_port)
        if port.host_port:
            yield from names.port_number(f"{at}.hostPort", port.host_port)
            key = (port.host_ip, port.host_port, port.protocol)
            if key in host_ports:
                yield duplicate(f"{at}.hostPort", port.host_port)
            host_ports.add(key)
        yield from one_of(f"{at}.protocol", port.protocol, ("TCP", "UDP", "SCTP"))
    for index, variable in enumerate(container.env):
        yield from _env(variable, f"{path}.env[{index}]")
    for index, source in enumerate(container.env_from):
        if (source.config_map_ref is None) == (source.secret_ref is None):
            yield invalid(f"{path}.envFrom[{index}]", "", "must specify one of: `configMapRef` or `secretRef`")
    yield from resources(container.resources, f"{path}.resources")
    targets: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        yield from _mount(mount, f"{path}.volumeMounts[{index}]", volumes, targets)
    for field, probe in (
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if probe is not None:
            yield from _probe(probe, f"{path}.{field}", port_names)
            if field != "readinessProbe" and probe.success_threshold not in (None, 1):
                yield invalid(f"{path}.{field}.successThreshold", probe.success_threshold, "must be 1")
    if container.lifecycle is not None:
        for field, handler in (
            ("postStart", container.lifecycle.post_start),
            ("preStop", container.lifecycle.pre_stop),
        ):
            if handler is None:
                continue
            given = [n for n in ("exec_", "http_get", "tcp_socket", "sleep") if getattr(handler, n) is not None]
            if not given:
                yield required(f"{path}.lifecycle.{field}", "must specify a handler type")
            elif len(given) > 1:
                yield forbidden(f"{path}.lifecycle.{field}", "may not specify more than 1 handler type")
    security = container.security_context
    if security is not None:
        if security.privileged and security.allow_privilege_escalation is False:
            yield invalid(
                f"{path}.securityContext", "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            )
        yield from not_negative(f"{path}.securityContext.runAsUser", security.run_as_user)
        yield from not_negative(f"{path}.securityContext.runAsGroup", security.run_as_group)


def _env(variable: EnvVar, path: str) -> Iterator[FieldError]:
    if not variable.name:
        yield required(f"{path}.name")
    elif not names.ENVIRONMENT.fullmatch(variable.name):
        yield invalid(f"{path}.name", variable.name, "must be printable and must not contain '='")
    source = variable.value_from
    if source is None:
        return
    at = f"{path}.valueFrom"
    if variable.value:
        yield invalid(at, "", "may not be specified when `value` is not empty")
    given = [
        name
        for name in ("field_ref", "resource_field_ref", "config_map_key_ref", "secret_key_ref", "file_key_ref")
        if getattr(source, name, None) is not None
    ]
    if len(given) != 1:
        yield invalid(
            at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        )
        return
    if source.field_ref is not None:
        reference = source.field_ref.field_path
        subscripted = reference.startswith(("metadata.labels['", "metadata.annotations['")) and reference.endswith("']")
        if not reference:
            yield required(f"{at}.fieldRef.fieldPath")
        elif reference not in FIELD_PATHS and not subscripted:
            yield names.unsupported(f"{at}.fieldRef.fieldPath", reference, FIELD_PATHS)
    for field, selector in (("configMapKeyRef", source.config_map_key_ref), ("secretKeyRef", source.secret_key_ref)):
        if selector is not None:
            if not selector.name:
                yield required(f"{at}.{field}.name")
            if not selector.key:
                yield required(f"{at}.{field}.key")
    if source.resource_field_ref is not None and not source.resource_field_ref.resource:
        yield required(f"{at}.resourceFieldRef.resource")


def resources(given: ResourceRequirements, path: str) -> Iterator[FieldError]:
    """Requests and limits: no negative amounts, no request above its limit."""
    for field, amounts in (("limits", given.limits), ("requests", given.requests)):
        for resource, quantity in amounts.items():
            at = f"{path}.{field}[{resource}]"
            if quantity.milli() < 0:
                yield invalid(at, str(quantity), "must be greater than or equal to 0")
            if (
                resource not in ("cpu", "memory", "ephemeral-storage")
                and "/" not in resource
                and not resource.startswith("hugepages-")
            ):
                yield invalid(at, resource, "must be a standard resource for containers, or a name with a domain")
            if "/" in resource and quantity.milli() % 1000:
                yield invalid(at, str(quantity), "must be an integer")
    for resource, quantity in given.requests.items():
        limit: Quantity | None = given.limits.get(resource)
        if limit is not None and limit < quantity:
            yield invalid(
                f"{path}.requests", str(quantity), f"must be less than or equal to {resource} limit of {limit}"
            )


def _mount(mount: VolumeMount, path: str, volumes: set[str], targets: set[str]) -> Iterator[FieldError]:
    if not mount.name:
        yield required(f"{path}.name")
    elif mount.name not in volumes:
        yield FieldError(f"{path}.name", "", "Not found", mount.name)
    if not mount.mount_path:
        yield required(f"{path}.mountPath")
    elif mount.mount_path in targets:
        yield invalid(f"{path}.mountPath", mount.mount_path, "must be unique")
    elif ":" in mount.mount_path:
        yield invalid(f"{path}.mountPath", mount.mount_path, "must not contain ':'")
    targets.add(mount.mount_path)
    if mount.sub_path and (mount.sub_path.startswith("/") or ".." in mount.sub_path.split("/")):
        yield invalid(f"{path}.subPath", mount.sub_path, "must be a relative path and not contain '..'")
    if mount.sub_path and mount.sub_path_expr:
        yield invalid(f"{path}.subPathExpr", mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive")
    yield from one_of(
        f"{path}.mountPropagation",
        mount.mount_propagation or "",
        ("None", "HostToContainer", "Bidirectional"),
        may_be_empty=True,
    )


def _probe(probe: Probe, path: str, port_names: set[str]) -> Iterator[FieldError]:
    given = [name for name in ("exec_", "http_get", "tcp_socket", "grpc") if getattr(probe, name) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    elif len(given) > 1:
        yield forbidden(f"{path}.{given[1].rstrip('_')}", "may not specify more than 1 handler type")
    if probe.exec_ is not None and not probe.exec_.command:
        yield required(f"{path}.exec.command")
    for field, action in (("httpGet", probe.http_get), ("tcpSocket", probe.tcp_socket)):
        if action is None:
            continue
        if action.port is None or action.port == "":
            yield required(f"{path}.{field}.port")
        elif isinstance(action.port, int):
            yield from names.port_number(f"{path}.{field}.port", action.port)
        else:
            yield from names.port_name(f"{path}.{field}.port", action.port)
    if probe.http_get is not None:
        yield from one_of(f"{path}.httpGet.scheme", probe.http_get.scheme, ("HTTP", "HTTPS"))
    yield from not_negative(f"{path}.initialDelaySeconds", probe.initial_delay_seconds)
    yield from positive(f"{path}.timeoutSeconds", probe.timeout_seconds)
    yield from positive(f"{path}.periodSeconds", probe.period_seconds)
    yield from positive(f"{path}.successThreshold", probe.success_threshold)
    yield from positive(f"{path}.failureThreshold", probe.failure_threshold)


def _toleration(toleration: Toleration, path: str) -> Iterator[FieldError]:
    yield from one_of(f"{path}.operator", toleration.operator, ("Equal", "Exists"), may_be_empty=True)
    if not toleration.key and toleration.operator != "Exists":
        yield invalid(f"{path}.operator", toleration.operator, "operator must be Exists when `key` is empty")
    if toleration.operator == "Exists" and toleration.value:
        yield invalid(f"{path}.operator", toleration.operator, "value must be empty when `operator` is 'Exists'")
    effects = ("NoSchedule", "PreferNoSchedule", "NoExecute")
    yield from one_of(f"{path}.effect", toleration.effect, effects, may_be_empty=True)
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        yield invalid(f"{path}.effect", toleration.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")


def _affinity(spec: PodSpec, path: str) -> Iterator[FieldError]:
    node = spec.affinity.node_affinity if spec.affinity is not None else None
    if node is None:
        return
    at = f"{path}.affinity.nodeAffinity"
    needed = node.required_during_scheduling_ignored_during_execution
    if needed is not None:
        terms = f"{at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if not needed.node_selector_terms:
            yield required(terms, "must have at least one node selector term")
        for index, term in enumerate(needed.node_selector_terms):
            yield from _node_term(term, f"{terms}[{index}]")
    for index, preferred in enumerate(node.preferred_during_scheduling_ignored_during_execution):
        item = f"{at}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        if not 1 <= (preferred.weight or 0) <= 100:
            yield invalid(f"{item}.weight", preferred.weight or 0, "must be in the range 1-100")
        if preferred.preference is not None:
            yield from _node_term(preferred.preference, f"{item}.preference")


def _node_term(term: NodeSelectorTerm, path: str) -> Iterator[FieldError]:
    for index, expression in enumerate(term.match_expressions):
        at = f"{path}.matchExpressions[{index}]"
        yield from one_of(f"{at}.operator", expression.operator, ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
        if expression.operator in ("In", "NotIn") and not expression.values:
            yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        if expression.operator in ("Exists", "DoesNotExist") and expression.values:
            yield forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        if expression.operator in ("Gt", "Lt") and len(expression.values) != 1:
            yield required(f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")


def _spread(spec: PodSpec, path: str) -> Iterator[FieldError]:
    for index, constraint in enumerate(spec.topology_spread_constraints):
        at = f"{path}.topologySpreadConstraints[{index}]"
        if constraint.max_skew is None or constraint.max_skew <= 0:
            yield invalid(f"{at}.maxSkew", constraint.max_skew or 0, "must be greater than zero")
        if not constraint.topology_key:
            yield required(f"{at}.topologyKey", "can not be empty")
        yield from one_of(f"{at}.whenUnsatisfiable", constraint.when_unsatisfiable, ("DoNotSchedule", "ScheduleAnyway"))
        try:
            Selector.from_label_selector(constraint.label_selector)
        except Invalid as error:
            yield invalid(f"{at}.labelSelector", "", error.message)
