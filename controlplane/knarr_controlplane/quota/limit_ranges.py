"""A new object under its namespace's LimitRanges: defaults, then minima, maxima and ratios.

Source: Kubernetes "Limit Ranges".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from knarr_api import defaults
from knarr_api.errors import Forbidden
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod
from knarr_controlplane.quota import amounts
from knarr_controlplane.quota.amounts import Amounts

replace = msgspec.structs.replace

ANNOTATION = "kubernetes.io/limit-ranger"


def limited(pod: Pod, ranges: Iterable[LimitRange]) -> Pod:
    """The pod with defaults for what its containers leave open, noted in an annotation.

    A container's own limits are defaults of its requests before any range's are.
    """
    items = [item for each in ranges for item in each.spec.limits if item.type == "Container"]
    if not items:
        return pod
    pod = defaults.apply(pod)
    default_requests: dict[str, Quantity] = {}
    default_limits: dict[str, Quantity] = {}
    for item in items:
        default_requests |= item.default_request
        default_limits |= item.default
    notes: list[str] = []

    def filled(container: Container, what: str) -> Container:
        resources = container.resources
        for field, given in (("request", default_requests), ("limit", default_limits)):
            present = resources.requests if field == "request" else resources.limits
            missing = {name: given[name] for name in sorted(given.keys() - present.keys())}
            if missing:
                notes.append(f"{', '.join(missing)} {field} for {what} {container.name}")
                resources = replace(resources, **{f"{field}s": {**present, **missing}})
        return replace(container, resources=resources)

    containers = tuple(filled(container, "container") for container in pod.spec.containers)
    init = tuple(filled(container, "init container") for container in pod.spec.init_containers)
    if not notes:
        return pod
    annotations = {**pod.metadata.annotations, ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}"}
    return replace(
        pod,
        metadata=replace(pod.metadata, annotations=annotations),
        spec=replace(pod.spec, containers=containers, init_containers=init),
    )


def check(obj: Pod | PersistentVolumeClaim, ranges: Iterable[LimitRange]) -> None:
    """Raises Forbidden with everything that is out of range."""
    items = [item for each in ranges for item in each.spec.limits]
    problems = [problem for item in items for problem in _problems(obj, item)]
    if problems:
        resource = "pods" if isinstance(obj, Pod) else "persistentvolumeclaims"
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise Forbidden(f'{resource} "{obj.metadata.name}" is forbidden: {text}')


def _problems(obj: Pod | PersistentVolumeClaim, item: LimitRangeItem) -> Iterator[str]:
    if isinstance(obj, PersistentVolumeClaim):
        if item.type == "PersistentVolumeClaim":
            yield from _claim(item, obj.spec.resources.requests if obj.spec.resources is not None else {})
    elif item.type == "Container":
        for container in (*obj.spec.containers, *obj.spec.init_containers):
            yield from _within(item, container.resources.requests, container.resources.limits)
    elif item.type == "Pod":
        yield from _within(item, amounts.requests(obj.spec), amounts.limits(obj.spec))


def _within(item: LimitRangeItem, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in item.min.items():
        start = f"minimum {name} usage per {item.type} is {least}"
        if name not in requests:
            yield f"{start}.  No request is specified"
        elif requests[name] < least:
            yield f"{start}, but request is {requests[name]}"
        elif name in limits and limits[name] < least:
            yield f"{start}, but limit is {limits[name]}"
    for name, most in item.max.items():
        start = f"maximum {name} usage per {item.type} is {most}"
        if name not in limits:
            yield f"{start}.  No limit is specified"
        elif limits[name] > most:
            yield f"{start}, but limit is {limits[name]}"
        elif name in requests and requests[name] > most:
            yield f"{start}, but request is {requests[name]}"
    for name, ratio in item.max_limit_request_ratio.items():
        start = f"{name} max limit to request ratio per {item.type} is {ratio}"
        if not requests.get(name):
            yield f"{start}, but no request is specified or request is 0"
        elif not limits.get(name):
            yield f"{start}, but no limit is specified or limit is 0"
        elif limits[name].nanos() * 10**9 > ratio.nanos() * requests[name].nanos():
            yield f"{start}, but provided ratio is {limits[name].nanos() / requests[name].nanos():f}"


def _claim(item: LimitRangeItem, requests: Amounts) -> Iterator[str]:
    for field, bounds in (("minimum", item.min), ("maximum", item.max)):
        for name, bound in bounds.items():
            start = f"{field} {name} usage per {item.type} is {bound}"
            if name not in requests:
                yield f"{start}.  No request is specified"
            elif requests[name] < bound if field == "minimum" else requests[name] > bound:
                yield f"{start}, but request is {requests[name]}"
