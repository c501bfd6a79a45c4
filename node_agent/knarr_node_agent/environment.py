"""A container's environment and arguments: literals, ConfigMaps, Secrets, the pod's own fields, and ``$(NAME)``.

Pure: what is referred to is an argument. Source: Kubernetes "Define Dependent Environment Variables", downward API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from knarr_api.errors import NotFound
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import ConfigMap, Container, EnvVarSource, Pod, ResourceFieldSelector, Secret

REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a pod refers to, by name; host_ip and pod_ip as far as known; node's allocatable resources."""

    config_maps: Mapping[str, ConfigMap] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    tokens: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """By audience and how long each lasts."""
    host_ip: str = ""
    pod_ip: str = ""
    allocatable: Mapping[str, Quantity] = field(default_factory=dict)


def environment(pod: Pod, container: Container, sources: Sources) -> dict[str, str]:
    """The variables that the manifest asks for. Raises NotFound for what it refers to and is not there."""
    result: dict[str, str] = {}
    for given in container.env_from:
        if given.config_map_ref is not None:
            reference = given.config_map_ref
            data = _config_map(sources, reference.name, bool(reference.optional))
            result.update({given.prefix + key: value for key, value in data.items()})
        if given.secret_ref is not None:
            secret = given.secret_ref
            raw = _secret(sources, secret.name, bool(secret.optional))
            result.update({given.prefix + key: value.decode(errors="replace") for key, value in raw.items()})
    for variable in container.env:
        if variable.value_from is None:
            result[variable.name] = expand(variable.value, result)
        else:
            value = _from(pod, container, variable.value_from, sources)
            if value is not None:
                result[variable.name] = value
    return result


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``$(NAME)`` by its value, ``$$`` by a dollar; unknown names stay as they are."""

    def one(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        if match[2] is None:
            return match[0]
        return variables.get(match[2], match[0])

    return REFERENCE.sub(one, text)


def expand_all(words: Iterable[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(expand(word, variables) for word in words)


def field_value(pod: Pod, path: str, sources: Sources) -> str:
    """A field of the pod as the downward API names it. Raises NotFound for one that is not offered."""
    metadata, spec = pod.metadata, pod.spec
    simple = {
        "metadata.name": metadata.name,
        "metadata.namespace": metadata.namespace,
        "metadata.uid": metadata.uid,
        "spec.nodeName": spec.node_name,
        "spec.serviceAccountName": spec.service_account_name or "default",
        "status.hostIP": sources.host_ip,
        "status.hostIPs": sources.host_ip,
        "status.podIP": sources.pod_ip,
        "status.podIPs": sources.pod_ip,
        "metadata.labels": _map_text(metadata.labels),
        "metadata.annotations": _map_text(metadata.annotations),
    }
    if path in simple:
        return simple[path]
    for prefix, values in (("metadata.labels['", metadata.labels), ("metadata.annotations['", metadata.annotations)):
        if path.startswith(prefix) and path.endswith("']"):
            return values.get(path[len(prefix) : -2], "")
    raise NotFound(f"unsupported fieldPath: {path}")


def resource_value(pod: Pod, selector: ResourceFieldSelector, own: Container | None, sources: Sources) -> str:
    """A container's request or limit, in units of the divisor, rounded up. Without a limit: the node's whole."""
    container = own
    if selector.container_name:
        container = next((c for c in pod.spec.containers if c.name == selector.container_name), None)
    if container is None:
        raise NotFound(f"container {selector.container_name} not found")
    kind, _, resource = selector.resource.partition(".")
    amounts = container.resources.limits if kind == "limits" else container.resources.requests
    quantity = amounts.get(resource)
    if quantity is None:
        quantity = sources.allocatable.get(resource, Quantity("0")) if kind == "limits" else Quantity("0")
    divisor = selector.divisor if selector.divisor is not None and selector.divisor else Quantity("1")
    return str(-(-quantity.milli() // max(divisor.milli(), 1)))


def _from(pod: Pod, container: Container, source: EnvVarSource, sources: Sources) -> str | None:
    """None: an optional reference to what is not there."""
    if source.field_ref is not None:
        return field_value(pod, source.field_ref.field_path, sources)
    if source.resource_field_ref is not None:
        return resource_value(pod, source.resource_field_ref, container, sources)
    if source.config_map_key_ref is not None:
        key = source.config_map_key_ref
        data = _config_map(sources, key.name, bool(key.optional))
        if key.key not in data and not key.optional:
            raise NotFound(f"couldn't find key {key.key} in ConfigMap {pod.metadata.namespace}/{key.name}")
        return data.get(key.key)
    if source.secret_key_ref is not None:
        secret = source.secret_key_ref
        raw = _secret(sources, secret.name, bool(secret.optional))
        if secret.key not in raw and not secret.optional:
            raise NotFound(f"couldn't find key {secret.key} in Secret {pod.metadata.namespace}/{secret.name}")
        found = raw.get(secret.key)
        return found.decode(errors="replace") if found is not None else None
    return ""


def _config_map(sources: Sources, name: str, optional: bool) -> Mapping[str, str]:
    found = sources.config_maps.get(name)
    if found is None:
        if optional:
            return {}
        raise NotFound(f'configmap "{name}" not found')
    return found.data


def _secret(sources: Sources, name: str, optional: bool) -> Mapping[str, bytes]:
    found = sources.secrets.get(name)
    if found is None:
        if optional:
            return {}
        raise NotFound(f'secret "{name}" not found')
    return found.data


def _map_text(values: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
