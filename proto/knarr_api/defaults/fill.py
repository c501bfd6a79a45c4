"""How defaults are filled in, and those of pods and their templates, Secrets and Namespaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from knarr_api.types import core_v1
from knarr_api.types.core_v1 import Container, PodSpec, PodTemplateSpec, Probe, Volume

S = TypeVar("S", bound=msgspec.Struct)

TERMINATION_GRACE_S = 30
MODE = 0o644
TOKEN_S = 3600


def fill(obj: S, **defaults: Any) -> S:
    """Set the attributes that are absent (None, empty)."""
    missing = {
        name: value for name, value in defaults.items() if getattr(obj, name) is None or getattr(obj, name) in ("", ())
    }
    return msgspec.structs.replace(obj, **missing) if missing else obj


def change(obj: S, **values: Any) -> S:
    """Replace attributes, but only where something changes, so that identity tells whether anything did."""
    changed = {name: value for name, value in values.items() if getattr(obj, name) is not value}
    return msgspec.structs.replace(obj, **changed) if changed else obj


def each(items: tuple[S, ...], rule: Callable[[S], S]) -> tuple[S, ...]:
    """The rule on every item; the same tuple when nothing changed."""
    done = tuple(rule(item) for item in items)
    return items if all(one is other for one, other in zip(done, items, strict=True)) else done


def pod_spec(spec: PodSpec) -> PodSpec:
    """Of a pod and of a template."""
    spec = fill(
        spec,
        restart_policy="Always",
        dns_policy="ClusterFirst",
        scheduler_name="default-scheduler",
        termination_grace_period_seconds=TERMINATION_GRACE_S,
        security_context=core_v1.PodSecurityContext(),
        enable_service_links=True,
    )
    if spec.service_account_name or spec.service_account:
        name = spec.service_account_name or spec.service_account
        spec = fill(spec, service_account_name=name, service_account=name)
    return change(
        spec,
        containers=each(spec.containers, lambda container: _container(container, spec.host_network)),
        init_containers=each(spec.init_containers, lambda container: _container(container, spec.host_network)),
        volumes=each(spec.volumes, _volume),
        topology_spread_constraints=each(
            spec.topology_spread_constraints,
            lambda constraint: fill(constraint, when_unsatisfiable="DoNotSchedule"),
        ),
    )


def _container(container: Container, host_network: bool | None) -> Container:
    tag = container.image.rpartition("/")[2]
    latest = "@" not in tag and (":" not in tag or tag.endswith(":latest"))
    container = fill(
        container,
        image_pull_policy="Always" if latest else "IfNotPresent",
        termination_message_path="/dev/termination-log",
        termination_message_policy="File",
    )
    requests = dict(container.resources.requests)
    for resource, quantity in container.resources.limits.items():
        requests.setdefault(resource, quantity)
    resources = container.resources
    if requests != resources.requests:
        resources = msgspec.structs.replace(resources, requests=requests)

    def port(given: core_v1.ContainerPort) -> core_v1.ContainerPort:
        given = fill(given, protocol="TCP")
        return fill(given, host_port=given.container_port) if host_network else given

    return change(
        container,
        resources=resources,
        ports=each(container.ports, port),
        env=each(container.env, _env),
        liveness_probe=_probe(container.liveness_probe),
        readiness_probe=_probe(container.readiness_probe),
        startup_probe=_probe(container.startup_probe),
        lifecycle=_lifecycle(container.lifecycle),
    )


def _env(variable: core_v1.EnvVar) -> core_v1.EnvVar:
    source = variable.value_from
    if source is None or source.field_ref is None or source.field_ref.api_version:
        return variable
    reference = fill(source.field_ref, api_version="v1")
    return msgspec.structs.replace(variable, value_from=msgspec.structs.replace(source, field_ref=reference))


def _probe(probe: Probe | None) -> Probe | None:
    if probe is None:
        return None
    probe = fill(probe, timeout_seconds=1, period_seconds=10, success_threshold=1, failure_threshold=3)
    return change(probe, http_get=_http(probe.http_get))


def _http(action: core_v1.HTTPGetAction | None) -> core_v1.HTTPGetAction | None:
    return fill(action, path="/", scheme="HTTP") if action is not None else None


def _lifecycle(lifecycle: core_v1.Lifecycle | None) -> core_v1.Lifecycle | None:
    if lifecycle is None:
        return None

    def handler(given: core_v1.LifecycleHandler | None) -> core_v1.LifecycleHandler | None:
        return change(given, http_get=_http(given.http_get)) if given is not None else None

    return change(lifecycle, post_start=handler(lifecycle.post_start), pre_stop=handler(lifecycle.pre_stop))


SOURCES = tuple(name for name in core_v1.VolumeSource.__struct_fields__)
"""Attributes of a volume, each a kind of source."""


def _volume(volume: Volume) -> Volume:
    if all(getattr(volume, name) is None for name in SOURCES):
        return msgspec.structs.replace(volume, empty_dir=core_v1.EmptyDirVolumeSource())
    return change(
        volume,
        config_map=fill(volume.config_map, default_mode=MODE) if volume.config_map is not None else None,
        secret=fill(volume.secret, default_mode=MODE) if volume.secret is not None else None,
        downward_api=fill(volume.downward_api, default_mode=MODE) if volume.downward_api is not None else None,
        projected=_projected(volume.projected) if volume.projected is not None else None,
    )


def _projected(given: core_v1.ProjectedVolumeSource) -> core_v1.ProjectedVolumeSource:
    def source(one: core_v1.VolumeProjection) -> core_v1.VolumeProjection:
        token = one.service_account_token
        return one if token is None else change(one, service_account_token=fill(token, expiration_seconds=TOKEN_S))

    return change(fill(given, default_mode=MODE), sources=each(given.sources, source))


def template(given: PodTemplateSpec) -> PodTemplateSpec:
    return change(given, spec=pod_spec(given.spec))


def pod(given: core_v1.Pod) -> core_v1.Pod:
    return change(given, spec=pod_spec(given.spec))


def secret(given: core_v1.Secret) -> core_v1.Secret:
    """stringData is write-only: it goes into data."""
    given = fill(given, type="Opaque")
    if given.string_data:
        data = {**given.data, **{name: text.encode() for name, text in given.string_data.items()}}
        given = msgspec.structs.replace(given, data=data, string_data={})
    return given


def namespace(given: core_v1.Namespace) -> core_v1.Namespace:
    labels = {**given.metadata.labels, "kubernetes.io/metadata.name": given.metadata.name}
    if labels == given.metadata.labels or not given.metadata.name:
        return given
    return msgspec.structs.replace(given, metadata=msgspec.structs.replace(given.metadata, labels=labels))
