"""What is accepted but not enforced yet: said with every write, so that nothing is silently ignored. Pure.

``POD_FIELDS`` is the list to shorten as Knarr learns. A path is below a pod's spec, in JSON names; ``[]`` stands for
each item of a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from knarr_api import kinds
from knarr_api.defaults.fill import SOURCES
from knarr_api.types import core_v1
from knarr_api.types.autoscaling_v2 import HorizontalPodAutoscaler
from knarr_api.types.batch_v1 import CronJob
from knarr_api.types.core_v1 import PodSpec, PodTemplateSpec
from knarr_api.validation import names

NOT_YET = "accepted but not enforced yet"
POD_FIELDS: Mapping[str, str] = {
    "resourceClaims": NOT_YET,
    "runtimeClassName": NOT_YET,
    "setHostnameAsFQDN": NOT_YET,
    "subdomain": "accepted, but pods have no names in DNS yet",
    "securityContext.windowsOptions": NOT_YET,
    "containers[].resizePolicy": NOT_YET,
    "containers[].resources.claims": NOT_YET,
    "containers[].restartPolicyRules": NOT_YET,
    "containers[].volumeDevices": NOT_YET,
    "initContainers[].volumeDevices": NOT_YET,
}
VOLUMES = frozenset({"empty_dir", "host_path", "config_map", "secret", "downward_api", "projected"})
"""Sources of volumes that agents mount."""

Step = tuple[str, str, bool]
"""JSON name, attribute, whether it is a list."""


def warnings(obj: msgspec.Struct) -> tuple[str, ...]:
    """What the object asks for and Knarr does not do (yet)."""
    kind = kinds.of(obj)
    if not kind.acting:
        return (f"{kind.qualified_kind} is stored and served but not acted on yet",)
    if isinstance(obj, core_v1.Pod):
        return tuple(_pod(obj.spec, "spec"))
    if isinstance(obj, core_v1.Secret) and obj.type == "kubernetes.io/service-account-token":
        return ("type: accepted, but no token is made yet",)
    if isinstance(obj, CronJob):
        inner = obj.spec.job_template
        return tuple(_pod(inner.spec.template.spec, "spec.jobTemplate.spec.template.spec")) if inner is not None else ()
    if isinstance(obj, HorizontalPodAutoscaler):
        return tuple(
            f"spec.metrics[{index}].type: {metric.type} metrics have no source yet: they count as not known"
            for index, metric in enumerate(obj.spec.metrics)
            if metric.type not in ("Resource", "ContainerResource")
        )
    template = getattr(obj.spec, "template", None) if hasattr(obj, "spec") else None
    if isinstance(template, PodTemplateSpec):
        return tuple(_pod(template.spec, "spec.template.spec"))
    return ()


def _pod(spec: PodSpec, path: str) -> Iterator[str]:
    for steps, text in _fields():
        for found in _present(spec, steps, path):
            yield f"{found}: {text}"
    for index, volume in enumerate(spec.volumes):
        for name in SOURCES:
            if name not in VOLUMES and getattr(volume, name) is not None:
                yield f"{path}.volumes[{index}]: {names.camel(name)} volumes are not supported yet: the pod won't start"
    for index, container in enumerate(spec.containers):
        at = f"{path}.containers[{index}]"
        for resource in container.resources.limits:
            if resource == "ephemeral-storage":
                yield f"{at}.resources.limits[{resource}]: counted when pods are placed, but its use is not limited yet"


@lru_cache(maxsize=1)
def _fields() -> tuple[tuple[tuple[Step, ...], str], ...]:
    return tuple((tuple(_step(part) for part in path.split(".")), text) for path, text in POD_FIELDS.items())


def _step(part: str) -> Step:
    name = part.removesuffix("[]")
    folded = name.replace("FQDN", "Fqdn")
    return name, re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", folded), part.endswith("[]")


def _present(obj: Any, steps: tuple[Step, ...], path: str) -> Iterator[str]:
    """Full paths at which something is given."""
    if not steps:
        yield path
        return
    name, attribute, is_list = steps[0]
    value = getattr(obj, attribute)
    if value is None or value in ("", (), False):
        return
    if not is_list:
        yield from _present(value, steps[1:], f"{path}.{name}")
        return
    for index, item in enumerate(value):
        yield from _present(item, steps[1:], f"{path}.{name}[{index}]")
