"""A new pod's priority, from its class. Pure. Source: Kubernetes "Pod Priority and Preemption"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from knarr_api.errors import FieldError, Forbidden, Invalid, invalid
from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass

SYSTEM = {
    "system-cluster-critical": PriorityClass(
        metadata=ObjectMeta(name="system-cluster-critical"),
        value=2_000_000_000,
        description="Used for system critical pods that must run in the cluster, but can be moved to another node.",
    ),
    "system-node-critical": PriorityClass(
        metadata=ObjectMeta(name="system-node-critical"),
        value=2_000_001_000,
        description="Used for system critical pods that must not be moved from their current node.",
    ),
}
HIGHEST_OF_USERS = 1_000_000_000
DEFAULT_POLICY = "PreemptLowerPriority"


def default_class(classes: Iterable[PriorityClass]) -> PriorityClass | None:
    """The one for pods that name none; of several the least."""
    return min(
        (one for one in classes if one.global_default),
        key=lambda one: (one.value or 0, one.metadata.name),
        default=None,
    )


def prioritised(pod: Pod, classes: Mapping[str, PriorityClass]) -> Pod:
    """The pod with what its class says. Raises Forbidden for a class that is not there, or says something else."""
    spec = pod.spec
    if spec.priority_class_name:
        chosen = classes.get(spec.priority_class_name) or SYSTEM.get(spec.priority_class_name)
        if chosen is None:
            text = f"no PriorityClass with name {spec.priority_class_name} was found"
            raise Forbidden(f'pods "{pod.metadata.name}" is forbidden: {text}')
    else:
        chosen = default_class(classes.values())
    value = 0 if chosen is None else chosen.value or 0
    policy = (chosen.preemption_policy if chosen is not None else "") or DEFAULT_POLICY
    _agrees(pod, "integer value of priority", spec.priority, value)
    _agrees(pod, "string value of PreemptionPolicy", spec.preemption_policy or None, policy)
    name = spec.priority_class_name or (chosen.metadata.name if chosen is not None else "")
    return msgspec.structs.replace(
        pod,
        spec=msgspec.structs.replace(spec, priority_class_name=name, priority=value, preemption_policy=policy),
    )


def _agrees(pod: Pod, what: str, given: object, computed: object) -> None:
    if given is not None and given != computed:
        raise Forbidden(
            f'pods "{pod.metadata.name}" is forbidden: the {what} ({given}) must not be provided in pod spec; '
            f"priority admission controller computed {computed} from the given PriorityClass name"
        )


def check(new: PriorityClass) -> None:
    """Raises Invalid for a class of users' that takes what is the system's."""
    name = new.metadata.name
    if name.startswith("system-"):
        known = SYSTEM.get(name)
        if known is None or new.value != known.value or new.global_default:
            text = "priority class names with 'system-' prefix are reserved for system use only"
            raise _refused(name, FieldError("metadata.name", text, "Forbidden"))
    elif (new.value or 0) > HIGHEST_OF_USERS:
        text = f"maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}"
        raise _refused(name, FieldError("value", text, "Forbidden"))


def _refused(name: str, why: FieldError) -> Invalid:
    return invalid("PriorityClass", name, (why,), "scheduling.k8s.io")
