"""A Job's pods, sorted out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from knarr_api.types.batch_v1 import Job
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.controllers.job import failures, indexes, template, tracking
from knarr_controlplane.controllers.job.tracking import Count
from knarr_controlplane.controllers.pods import state


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """done, failed_indexes: completion indexes. held: failed pods, each its index's last, that are kept until their
    successor has read from them how often the index has failed."""

    pods: tuple[Pod, ...]
    indexed: bool
    tally: Count
    active: tuple[Pod, ...]
    terminating: tuple[Pod, ...]
    ended: tuple[Pod, ...]
    """Succeeded or failed, in the sense of the Job, or let go by their node."""
    done: frozenset[int]
    failed_indexes: frozenset[int]
    last_failed: dict[int, Pod]
    held: tuple[Pod, ...]
    new_failed: tuple[Pod, ...]
    """Failures that count and are neither counted nor listed yet."""

    @property
    def succeeded(self) -> int:
        if self.indexed:
            return len(self.done)
        return self.tally.succeeded + len(self.tally.uncounted.succeeded) + len(self.tally.new_succeeded)

    @property
    def failed(self) -> int:
        return self.tally.failed + len(self.tally.uncounted.failed) + len(self.new_failed)

    @property
    def closed(self) -> frozenset[int]:
        """Indexes that need no more pods."""
        return self.done | self.failed_indexes

    def to_count(self, *, ending: bool) -> tuple[Pod, ...]:
        """New failures to list now. ending: nothing is held back any more."""
        if ending:
            return self.new_failed
        held = {pod.metadata.uid for pod in self.held}
        return tuple(pod for pod in self.new_failed if pod.metadata.uid not in held)


def observe(job: Job, pods: tuple[Pod, ...]) -> Observed:
    indexed = template.is_indexed(job)
    completions = job.spec.completions or 0
    tally = tracking.count(job, pods)
    failed = tuple(pod for pod in pods if tracking.has_failed(job, pod))
    done = indexes.parse(job.status.completed_indexes, completions) | _indexes(
        (pod for pod in pods if tracking.has_succeeded(pod) and tracking.is_tracked(pod)), completions
    )
    given_up = indexes.parse(job.status.failed_indexes, completions) | _indexes(
        (pod for pod in failed if tracking.is_tracked(pod) and failures.fails_index(job, pod)), completions
    )
    active = tuple(pod for pod in pods if state.is_active(pod))
    last = _last_failed(failed) if indexed and job.spec.backoff_limit_per_index is not None else {}
    settled = {indexes.of(pod) for pod in active} | done | given_up
    return Observed(
        pods=pods,
        indexed=indexed,
        tally=tally,
        active=active,
        terminating=tuple(pod for pod in pods if tracking.is_terminating(pod)),
        ended=tuple(
            pod
            for pod in pods
            if tracking.has_succeeded(pod) or tracking.has_failed(job, pod) or tracking.is_let_go(pod)
        ),
        done=done if indexed else frozenset(),
        failed_indexes=given_up - done if indexed else frozenset(),
        last_failed=last,
        held=tuple(pod for index, pod in last.items() if index not in settled),
        new_failed=tuple(pod for pod in tally.new_failed if _counts(job, pod, indexed, completions)),
    )


def _counts(job: Job, pod: Pod, indexed: bool, completions: int) -> bool:
    if failures.verdict(job, pod).action == failures.IGNORE:
        return False
    index = indexes.of(pod)
    return not indexed or (index is not None and index < completions)


def _indexes(pods: Iterable[Pod], completions: int) -> frozenset[int]:
    found = (indexes.of(pod) for pod in pods)
    return frozenset(index for index in found if index is not None and index < completions)


def _last_failed(failed: tuple[Pod, ...]) -> dict[int, Pod]:
    """Per index the pod before which the index had failed most often."""
    last: dict[int, Pod] = {}
    for pod in failed:
        index = indexes.of(pod)
        if index is not None and (index not in last or _order(pod) > _order(last[index])):
            last[index] = pod
    return last


def _order(pod: Pod) -> tuple[int, str]:
    return sum(failures.index_failures(pod)), pod.metadata.name
