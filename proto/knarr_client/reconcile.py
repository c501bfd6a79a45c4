"""The loop that takes keys from a queue and calls ``reconcile`` until the world is as it should be.

A reconciler is level-based: it is told which object to look at, never what happened. It may be called any number of
times for one change and must then do nothing.

What follows from a call:

=============================  =====================================================================
returns None                   done; its back-off starts anew
returns ``Again(after_s)``     called again after that time
raises Conflict                called again soon: what it had read was old (at most 1 s later)
raises Terminal                logged, not called again before something changes
raises anything else           logged, called again after the key's back-off (5 ms doubling to 60 s)
=============================  =====================================================================
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog

from knarr_api import errors, kinds
from knarr_client.workqueue import QueueClosed, WorkQueue
from knarr_telemetry import tracing

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)

Log = structlog.typing.FilteringBoundLogger

CONFLICT_RETRY_MAX_S = 1.0
AT_A_TIME = 8
"""Keys that wait and need nothing but memory to be judged are worked on without a pause; so many, then others have
their turn: a leader that reads everything anew has its Lease to renew as well."""
_KIND_NAMES = {kind.resource: kind.kind for kind in kinds.KINDS}


@dataclass(frozen=True, slots=True)
class Again:
    """Look at the object again later even if nothing changes."""

    after_s: float


class Reconciler(Protocol[K_contra]):
    async def reconcile(self, key: K_contra, /) -> Again | None: ...


async def run_reconciler(
    name: str,
    reconciler: Reconciler[K],
    queue: WorkQueue[K],
    *,
    workers: int = 4,
    deadline_s: float = 60.0,
    title: Callable[[K], str] | None = None,
    trace: Callable[[K], str | None] | None = None,
) -> None:
    """Work on the queue's keys until cancelled or the queue is closed.

    workers: how many keys are worked on at once. deadline_s: how long one call may take before it is cancelled and
    retried. title: what logs call the object; ``Kind/key`` if it isn't given and the name is a kind's resource.
    trace: the trace context that a key's work belongs to, or none; each call begins a trace if it isn't given.
    """
    kind = _KIND_NAMES.get(name, name)
    named = title or (lambda key: f"{kind}/{key}")
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(
                _work(name, reconciler, queue, deadline_s, named, trace or _a_new_trace), name=f"{name}/{number}"
            )


async def _work(
    name: str,
    reconciler: Reconciler[K],
    queue: WorkQueue[K],
    deadline_s: float,
    title: Callable[[K], str],
    parent: Callable[[K], str | None],
) -> None:
    log = structlog.get_logger("knarr.reconcile").bind(reconciler=name)
    work = f"reconcile {name}"
    for number in itertools.count(1):
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
        try:
            key = await queue.get()
        except QueueClosed:
            return
        try:
            about = title(key)
            with tracing.span(work, parent(key), object=about):
                await _once(reconciler, queue, key, deadline_s, log.bind(object=about))
        finally:
            queue.done(key)


def _a_new_trace(key: object) -> str:
    return tracing.NEW


async def _once(
    reconciler: Reconciler[K],
    queue: WorkQueue[K],
    key: K,
    deadline_s: float,
    log: structlog.typing.FilteringBoundLogger,
) -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        async with asyncio.timeout(deadline_s):
            again = await reconciler.reconcile(key)
    except errors.Terminal as error:
        queue.forget(key)
        log.error("given up until something changes", error=str(error))
    except errors.Conflict as error:
        delay_s = queue.retry(key, max_s=CONFLICT_RETRY_MAX_S)
        log.debug("the object has changed meanwhile", error=str(error), retry_in_s=round(delay_s, 3))
    except (errors.KnarrError, TimeoutError) as error:
        delay_s = queue.retry(key)
        took_s, why = round(loop.time() - started_s, 3), str(error) or type(error).__name__
        log.warning("failed", error=why, duration_s=took_s, retry_in_s=round(delay_s, 3))
    except Exception:
        delay_s = queue.retry(key)
        log.exception("failed unexpectedly", retry_in_s=round(delay_s, 3))
    else:
        queue.forget(key)
        if again is not None:
            queue.add_after(key, again.after_s)
