"""What a Job needs: a pure function from what is to a plan.

.. code-block:: text

    finished? ──► let go of its pods, remove it when its time is up
    count pods that ended ──► an outcome? ──► SuccessCriteriaMet or FailureTarget: delete what is active
                                   │                └──► nothing is left: Complete or Failed
                                   └── none yet ──► as many pods as wanted, after the back-off

Deciding twice on one state gives one plan.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import msgspec

from knarr_api.labels import Selector
from knarr_api.types.batch_v1 import Job, JobCondition, JobStatus, UncountedTerminatedPods
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.job import conditions, failures, indexes, outcome, template, tracking
from knarr_controlplane.controllers.job.observed import Observed, observe
from knarr_controlplane.controllers.notes import Note
from knarr_controlplane.controllers.pods import state
from knarr_controlplane.controllers.replicaset.decide import deletion_order

CONTROLLER = "kubernetes.io/job-controller"
AT_ONCE = 500
"""Pods made or deleted by one plan."""
_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """pods: all of the namespace that this Job controls or might adopt. floor: the lowest number for new names."""

    job: Job
    pods: tuple[Pod, ...]
    now: datetime.datetime
    floor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """In the order of its fields; ``finalize`` may happen only after ``status`` was written."""

    adopt: tuple[Pod, ...] = ()
    release: tuple[Pod, ...] = ()
    status: JobStatus | None = None
    notes: tuple[Note, ...] = ()
    finalize: tuple[Pod, ...] = ()
    """Pods that lose the tracking finalizer: they are counted, or never will be."""
    delete: tuple[Pod, ...] = ()
    create: tuple[Pod, ...] = ()
    expire: bool = False
    """Its time after the end is up: delete the Job."""
    again_after_s: float | None = None


def decide(world: World) -> Plan:
    job = world.job
    selector = Selector.from_label_selector(job.spec.selector)
    if job.spec.managed_by not in ("", CONTROLLER) or job.spec.selector is None or not str(selector):
        return Plan()
    claim = ownership.claim(job, selector, world.pods)
    if claim.adopt or claim.release:
        return Plan(
            adopt=tuple(_tracked(pod) for pod in claim.adopt), release=tuple(_untracked(pod) for pod in claim.release)
        )
    end = conditions.finished(job)
    if end is not None:
        return _after(world, end, claim.owned)
    seen = observe(job, claim.owned)
    interim = outcome.interim(job, seen, world.now)
    if interim is not None:
        return _ending(world, seen, interim)
    return _running(world, seen)


def _after(world: World, end: JobCondition, pods: tuple[Pod, ...]) -> Plan:
    """It has finished."""
    job = world.job
    left = tuple(pod for pod in pods if tracking.is_tracked(pod))
    ttl_s = job.spec.ttl_seconds_after_finished
    if ttl_s is None or end.last_transition_time is None or job.metadata.deletion_timestamp is not None:
        return Plan(finalize=left)
    remaining_s = ttl_s - (world.now - end.last_transition_time).total_seconds()
    return Plan(finalize=left, expire=remaining_s <= 0, again_after_s=remaining_s if remaining_s > 0 else None)


def _ending(world: World, seen: Observed, interim: JobCondition) -> Plan:
    """It is known how it ends; its pods go, and when nothing is left it is said."""
    status = _status(world, seen, ending=True)
    status = _replace(status, conditions=conditions.put(status.conditions, interim))
    finalize = _counted(seen, status, ending=True)
    if not any(tracking.is_tracked(pod) or tracking.is_terminating(pod) for pod in seen.pods) and not seen.active:
        end = conditions.terminal(interim, world.now)
        status = _replace(
            status,
            conditions=conditions.put(status.conditions, end),
            completion_time=world.now if end.type == conditions.COMPLETE else None,
        )
        return Plan(status=status, notes=_end_notes(world.job, status, end))
    return Plan(status=status, finalize=finalize, delete=seen.active[:AT_ONCE])


def _end_notes(job: Job, status: JobStatus, end: JobCondition) -> tuple[Note, ...]:
    if end.type == conditions.FAILED:
        return (Note(reason=end.reason, message=end.message, warning=True),)
    done = Note(reason="Completed", message="Job completed")
    if job.spec.completions is not None and (status.succeeded or 0) > job.spec.completions:
        many = "Too many succeeded pods running after completion count reached"
        return (Note(reason="TooManySucceededPods", message=many, warning=True), done)
    return (done,)


def _running(world: World, seen: Observed) -> Plan:
    job = world.job
    status = _status(world, seen, ending=False)
    finalize = _counted(seen, status, ending=False)
    if job.metadata.deletion_timestamp is not None:
        return Plan(status=status, finalize=finalize)
    status, notes = _suspension(job, status, world.now)
    deadline_s = outcome.deadline_in_s(job, status.start_time, world.now)
    delete = _superfluous(job, seen, world.now)[:AT_ONCE]
    if delete:
        # Deleted because they are not wanted, not because they failed: they are not counted.
        unwanted = tuple(pod for pod in delete if tracking.is_tracked(pod))
        return Plan(
            status=status, notes=notes, finalize=(*finalize, *unwanted), delete=delete, again_after_s=deadline_s
        )
    create, wait_s = _missing(world, seen)
    waits = [seconds for seconds in (deadline_s, wait_s) if seconds is not None]
    return Plan(status=status, notes=notes, finalize=finalize, create=create, again_after_s=min(waits, default=None))


def _status(world: World, seen: Observed, *, ending: bool) -> JobStatus:
    """What the pods amount to, with those that newly ended listed as uncounted."""
    job, tally = world.job, seen.tally
    start = job.status.start_time
    if start is None and not job.spec.suspend:
        start = world.now
    status = _replace(
        job.status,
        start_time=start,
        active=len(seen.active) or None,
        ready=sum(state.is_ready(pod) for pod in seen.active),
        terminating=sum(tracking.is_terminating(pod) for pod in seen.pods),
        succeeded=(len(seen.done) if template.is_indexed(job) else tally.succeeded) or None,
        failed=tally.failed or None,
        uncounted_terminated_pods=tally.uncounted,
        completed_indexes=indexes.show(seen.done) if template.is_indexed(job) else "",
        failed_indexes=indexes.show(seen.failed_indexes),
    )
    succeeded = () if template.is_indexed(job) else tally.new_succeeded
    return tracking.with_uncounted(status, succeeded, seen.to_count(ending=ending))


def _counted(seen: Observed, status: JobStatus, *, ending: bool) -> tuple[Pod, ...]:
    """Pods whose end the status knows of, or that count for nothing."""
    listed = status.uncounted_terminated_pods or UncountedTerminatedPods()
    waiting = {pod.metadata.uid for pod in seen.to_count(ending=ending)}
    if not seen.indexed:
        waiting |= {pod.metadata.uid for pod in seen.tally.new_succeeded}
    waiting -= {*listed.succeeded, *listed.failed}
    if not ending:
        waiting |= {pod.metadata.uid for pod in seen.held}
    return tuple(pod for pod in seen.ended if tracking.is_tracked(pod) and pod.metadata.uid not in waiting)


def _suspension(job: Job, status: JobStatus, now: datetime.datetime) -> tuple[JobStatus, tuple[Note, ...]]:
    present = next((each for each in status.conditions if each.type == conditions.SUSPENDED), None)
    is_suspended = present is not None and present.status == "True"
    if bool(job.spec.suspend) == is_suspended:
        return status, ()
    if job.spec.suspend:
        condition = conditions.make(conditions.SUSPENDED, "True", "JobSuspended", "Job suspended", now)
        note = Note(reason="Suspended", message="Job suspended")
    else:
        condition = conditions.make(conditions.SUSPENDED, "False", "JobResumed", "Job resumed", now)
        note = Note(reason="Resumed", message="Job resumed")
        status = _replace(status, start_time=now)
    return _replace(status, conditions=conditions.put(status.conditions, condition)), (note,)


def wanted(job: Job, seen: Observed) -> int:
    """How many pods should be active."""
    parallelism = 1 if job.spec.parallelism is None else job.spec.parallelism
    if job.spec.suspend:
        return 0
    if job.spec.completions is None:
        return len(seen.active) if seen.succeeded else parallelism
    return max(0, min(parallelism, job.spec.completions - seen.succeeded))


def _superfluous(job: Job, seen: Observed, now: datetime.datetime) -> tuple[Pod, ...]:
    """Active pods above the wanted number, first those whose index is not, or no longer, theirs to complete."""
    misplaced: list[Pod] = []
    taken = set(seen.closed)
    rest: list[Pod] = []
    ranked = deletion_order(seen.active, now)
    for pod in reversed(ranked):
        index = indexes.of(pod)
        if seen.indexed and (index is None or index >= (job.spec.completions or 0) or index in taken):
            misplaced.append(pod)
            continue
        if index is not None:
            taken.add(index)
        rest.append(pod)
    excess = len(rest) - wanted(job, seen)
    return (*misplaced, *(rest[::-1][:excess] if excess > 0 else ()))


def _missing(world: World, seen: Observed) -> tuple[tuple[Pod, ...], float | None]:
    """New pods, and how long to wait for those that may not be made yet."""
    job = world.job
    terminating = seen.terminating if tracking.waits_for_end(job) else ()
    count = min(wanted(job, seen) - len(seen.active) - len(terminating), AT_ONCE)
    if count <= 0:
        return (), None
    per_index = job.spec.backoff_limit_per_index is not None
    if not per_index:
        wait_s = failures.backoff_s(job, seen.pods, world.now)
        if wait_s > 0:
            return (), wait_s
    if not seen.indexed:
        names = islice(template.names(job, None, seen.pods, _floor(world, seen)), count)
        return tuple(template.pod(job, name) for name in names), None
    last = seen.last_failed if per_index else {}
    return _indexed(world, seen, {indexes.of(pod) for pod in (*seen.active, *terminating)}, count, last)


def _indexed(
    world: World, seen: Observed, busy: set[int | None], count: int, last: Mapping[int, Pod]
) -> tuple[tuple[Pod, ...], float | None]:
    """Pods for the lowest indexes without one. last: the failed pods that they replace."""
    job = world.job
    made: list[Pod] = []
    waits: list[float] = []
    closed = seen.closed
    before: dict[int | None, list[Pod]] = {}
    for pod in seen.pods:
        before.setdefault(indexes.of(pod), []).append(pod)
    for index in range(job.spec.completions or 0):
        if len(made) >= count:
            break
        if index in closed or index in busy:
            continue
        replaced = last.get(index)
        wait_s = failures.index_backoff_s(replaced, world.now) if replaced is not None else 0.0
        if wait_s > 0:
            waits.append(wait_s)
            continue
        name = next(iter(template.names(job, index, before.get(index, ()), _floor(world, seen))))
        made.append(template.pod(job, name, index, replaced))
    return tuple(made), min(waits, default=None)


def _floor(world: World, seen: Observed) -> int:
    """Names of pods that are gone are not used again: so many have been made."""
    return max(world.floor, seen.succeeded + seen.failed + len(seen.active))


def _tracked(pod: Pod) -> Pod:
    if tracking.is_tracked(pod):
        return pod
    finalizers = (*pod.metadata.finalizers, tracking.FINALIZER)
    return _replace(pod, metadata=_replace(pod.metadata, finalizers=finalizers))


def _untracked(pod: Pod) -> Pod:
    finalizers = tuple(name for name in pod.metadata.finalizers if name != tracking.FINALIZER)
    return _replace(pod, metadata=_replace(pod.metadata, finalizers=finalizers))
