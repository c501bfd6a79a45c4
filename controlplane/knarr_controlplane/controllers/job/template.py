"""The pods of a Job: names, labels, what pods of an indexed Job know of themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from knarr_api.types.batch_v1 import Job
from knarr_api.types.core_v1 import Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.job import failures, indexes, tracking
from knarr_controlplane.controllers.replicaset import naming

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
HOSTNAME_MAX = 63
_replace = msgspec.structs.replace


def prefix(job: Job, index: int | None) -> str:
    """What the names of its pods begin with, or of those of one index."""
    return job.metadata.name if index is None else f"{job.metadata.name}-{index}"


def is_indexed(job: Job) -> bool:
    return job.spec.completion_mode == "Indexed"


def names(job: Job, index: int | None, pods: Iterable[Pod], floor: int) -> Iterable[str]:
    """Names that no pod has or had, one after the other. floor: the lowest number to use."""
    uid = job.metadata.uid
    start = prefix(job, index)
    taken = {pod.metadata.name for pod in pods}
    slots = (naming.slot_of(name, start, uid) for name in taken)
    slot = max(max((slot for slot in slots if slot is not None), default=-1) + 1, floor)
    while True:
        name = naming.pod_name(start, uid, slot % naming.SLOTS)
        if name not in taken:
            yield name
        slot += 1


def pod(job: Job, name: str, index: int | None = None, replaced: Pod | None = None) -> Pod:
    """replaced: the failed pod whose index it gets, where failures are counted per index."""
    template = job.spec.template
    spec = template.spec
    labels, annotations = dict(template.metadata.labels), dict(template.metadata.annotations)
    if index is not None:
        labels[indexes.COMPLETION_INDEX] = annotations[indexes.COMPLETION_INDEX] = str(index)
        spec = _replace(
            spec,
            hostname=spec.hostname or f"{job.metadata.name[: HOSTNAME_MAX - len(str(index)) - 1]}-{index}",
            containers=tuple(_with_index(each) for each in spec.containers),
            init_containers=tuple(_with_index(each) for each in spec.init_containers),
        )
        if job.spec.backoff_limit_per_index is not None:
            annotations |= _failure_counts(job, replaced)
    metadata = ObjectMeta(
        name=name,
        generate_name=f"{prefix(job, index)}-",
        namespace=job.metadata.namespace,
        labels=labels,
        annotations=annotations,
        finalizers=(*template.metadata.finalizers, tracking.FINALIZER),
        owner_references=(ownership.controller_reference(job),),
    )
    return Pod(metadata=metadata, spec=spec)


def _failure_counts(job: Job, replaced: Pod | None) -> Mapping[str, str]:
    counted, ignored = failures.index_failures(replaced) if replaced is not None else (0, 0)
    if replaced is not None:
        if failures.verdict(job, replaced).action == failures.IGNORE:
            ignored += 1
        else:
            counted += 1
    return {failures.INDEX_FAILURES: str(counted)} | ({failures.INDEX_IGNORED: str(ignored)} if ignored else {})


def _with_index(container: Container) -> Container:
    if any(variable.name == INDEX_VARIABLE for variable in container.env):
        return container
    path = f"metadata.labels['{indexes.COMPLETION_INDEX}']"
    source = EnvVarSource(field_ref=ObjectFieldSelector(api_version="v1", field_path=path))
    return _replace(container, env=(*container.env, EnvVar(name=INDEX_VARIABLE, value_from=source)))
