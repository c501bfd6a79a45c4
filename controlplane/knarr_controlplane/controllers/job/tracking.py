"""Which of a Job's pods have ended, and counting each of them exactly once. Pure.

Every pod is made with a finalizer, so none is gone before it was counted. A pod that ended goes through:

.. code-block:: text

    ended, finalizer ──► its uid in status.uncountedTerminatedPods ──► finalizer removed ──► counted, uid removed

Each arrow is one write; whoever takes over after any of them goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from knarr_api.types.batch_v1 import Job, JobStatus, UncountedTerminatedPods
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.controllers.pods import state

FINALIZER = "batch.kubernetes.io/job-tracking"
UNCOUNTED_MAX = 500


def is_tracked(pod: Pod) -> bool:
    return FINALIZER in pod.metadata.finalizers


def has_succeeded(pod: Pod) -> bool:
    return pod.status.phase == "Succeeded"


def has_failed(job: Job, pod: Pod) -> bool:
    """A pod on its way out has failed, too, unless the Job waits for the end of those."""
    if pod.status.phase == "Failed":
        return True
    if has_succeeded(pod) or pod.metadata.deletion_timestamp is None:
        return False
    return is_let_go(pod) or not waits_for_end(job)


def is_let_go(pod: Pod) -> bool:
    """Deleted, and its node has let go of it: only finalizers keep it."""
    return pod.metadata.deletion_timestamp is not None and not pod.metadata.deletion_grace_period_seconds


def is_terminating(pod: Pod) -> bool:
    return pod.metadata.deletion_timestamp is not None and not state.is_ended(pod) and not is_let_go(pod)


def waits_for_end(job: Job) -> bool:
    """Whether pods that are being deleted are replaced only when they have ended."""
    return job.spec.pod_replacement_policy == "Failed" or job.spec.pod_failure_policy is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """succeeded, failed: pods counted in the status. new_*: pods that ended and are in no count and no list yet."""

    succeeded: int
    failed: int
    uncounted: UncountedTerminatedPods
    new_succeeded: tuple[Pod, ...]
    new_failed: tuple[Pod, ...]


def count(job: Job, pods: Iterable[Pod]) -> Count:
    """What has been counted, after adding those whose finalizer is gone."""
    status = job.status
    listed = status.uncounted_terminated_pods or UncountedTerminatedPods()
    tracked = {pod.metadata.uid: pod for pod in pods if is_tracked(pod)}
    succeeded = tuple(uid for uid in listed.succeeded if uid in tracked)
    failed = tuple(uid for uid in listed.failed if uid in tracked)
    known = {*listed.succeeded, *listed.failed}
    new = [pod for uid, pod in tracked.items() if uid not in known]
    return Count(
        succeeded=(status.succeeded or 0) + len(listed.succeeded) - len(succeeded),
        failed=(status.failed or 0) + len(listed.failed) - len(failed),
        uncounted=UncountedTerminatedPods(succeeded=succeeded, failed=failed),
        new_succeeded=tuple(pod for pod in new if has_succeeded(pod)),
        new_failed=tuple(pod for pod in new if has_failed(job, pod)),
    )


def with_uncounted(status: JobStatus, succeeded: Iterable[Pod], failed: Iterable[Pod]) -> JobStatus:
    """The status that lists these pods as well, as many as there is room for."""
    present = status.uncounted_terminated_pods or UncountedTerminatedPods()
    room = UNCOUNTED_MAX - len(present.succeeded) - len(present.failed)
    more = [pod.metadata.uid for pod in succeeded][: max(0, room)]
    rest = [pod.metadata.uid for pod in failed][: max(0, room - len(more))]
    listed = UncountedTerminatedPods(succeeded=(*present.succeeded, *more), failed=(*present.failed, *rest))
    return msgspec.structs.replace(status, uncounted_terminated_pods=listed)
