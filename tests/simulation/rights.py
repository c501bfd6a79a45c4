"""Who may do what to whom: priorities, taints, owners of fields, namespaces that go, Jobs that are over.

Checked at every write, as ``promises`` are, with the same allowance for views that are old.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.batch_v1 import Job
from knarr_api.types.core_v1 import ConfigMap, Namespace, Node, Pod
from tests.simulation import load
from tests.simulation.law import Law
from tests.simulation.moment import STALE_S
from tests.simulation.pressure import OUT, PATIENCE_S, QUARREL
from tests.simulation.state import controller, disruption, is_active

ROUNDED_S = 1.0
"""Times in objects are whole seconds."""


@dataclass(slots=True)
class Span:
    since_s: float
    until_s: float = inf


@dataclass(frozen=True, slots=True)
class Nomination:
    """Of a pod that waits, for a node on which others make room."""

    node: str
    priority: int
    span: Span


@dataclass(slots=True)
class Counted:
    """Of a Job. finished_s: when it was over, and how."""

    succeeded: set[str] = field(default_factory=set)
    finished_s: float = inf
    outcome: str = ""


class Rights(Law):
    """Namespaces, pods that have to go, Jobs, and fields that are quarrelled about."""

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self.clocks_jumped = False
        """Whoever measures a time may have been wrong."""
        self._nominated: dict[str, list[Nomination]] = {}
        """By the uid of the pod that waits."""
        self._tainted: dict[str, list[Span]] = {}
        self.silent: set[str] = set()
        """Nodes that were taken for lost at some time: pods leave them for that as well."""
        self._jobs: dict[str, Counted] = {}
        self.present: set[str] = set()
        """Namespaces that nobody has deleted."""

    def written(self, at_s: float, old: Any, new: Any, *, leading: bool) -> None:
        obj = new if new is not None else old
        if old is None and (namespace := new.metadata.namespace) and namespace not in self.present:
            self._fail("namespaces", f"{type(new).__name__} {new.metadata.name} is made in {namespace}, which goes")
        match obj:
            case Namespace():
                self._namespace(obj, gone=new is None)
            case Pod():
                self._pod(at_s, old, new)
            case Node() if new is not None:
                self._node(at_s, new)
            case Job() if new is not None:
                self._job(at_s, new)
            case Deployment() if leading and new is not None and obj.metadata.name == load.NAME:
                if not load.LEAST <= (new.spec.replicas or 0) <= load.MOST:
                    self._fail("autoscaler", f"{load.NAME} gets {new.spec.replicas} replicas")
            case ConfigMap() if new is not None and obj.metadata.name == QUARREL:
                self._quarrel(old, new)

    def _namespace(self, namespace: Namespace, *, gone: bool) -> None:
        if gone or namespace.metadata.deletion_timestamp is not None:
            self.present.discard(namespace.metadata.name)
        else:
            self.present.add(namespace.metadata.name)

    # Pods and nodes

    def _pod(self, at_s: float, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        assert pod is not None
        waits = new is not None and not new.spec.node_name and new.metadata.deletion_timestamp is None
        self._nominate(at_s, pod, pod.status.nominated_node_name if waits else "")
        before = disruption(old) if old is not None else ""
        if new is not None and disruption(new) != before:
            self._disrupted(at_s, new)
        owner = controller(pod)
        if owner is not None and owner.kind == "Job":
            self._pod_of_job(at_s, old, new, owner)

    def _nominate(self, at_s: float, pod: Pod, node: str) -> None:
        """node: empty for one that waits no more."""
        past = self._nominated.get(pod.metadata.uid, [])
        last = past[-1] if past else None
        if last is not None and last.span.until_s == inf and last.node != node:
            last.span.until_s = at_s
        if node and (last is None or last.node != node or last.span.until_s < inf):
            self._nominated.setdefault(pod.metadata.uid, []).append(
                Nomination(node, pod.spec.priority or 0, Span(at_s))
            )

    def _disrupted(self, at_s: float, pod: Pod) -> None:
        priority, name = pod.spec.priority or 0, pod.metadata.name
        match disruption(pod):
            case "PreemptionByScheduler":
                every = (each for past in self._nominated.values() for each in past if each.node == pod.spec.node_name)
                waiting = sorted(each.priority for each in every if each.span.until_s >= at_s - STALE_S)
                if not waiting or waiting[-1] <= priority:
                    self._fail("preemption", f"{name} of priority {priority} has to go, there {waiting} wait")
            case "DeletionByTaintManager" if not self.clocks_jumped and pod.spec.node_name not in self.silent:
                bears = any(each.key == OUT for each in pod.spec.tolerations)
                begun = at_s - (PATIENCE_S if bears else 0.0) + ROUNDED_S
                spans = self._tainted.get(pod.spec.node_name, [])
                if not any(span.since_s <= begun and span.until_s >= at_s - STALE_S for span in spans):
                    seen = [(span.since_s, span.until_s) for span in spans]
                    self._fail("tolerations", f"{name} is driven from {pod.spec.node_name}, tainted at {seen}")

    def _node(self, at_s: float, node: Node) -> None:
        name = node.metadata.name
        spans = self._tainted.setdefault(name, [])
        keys = {taint.key for taint in node.spec.taints if taint.effect == "NoExecute"}
        if keys - {OUT}:
            self.silent.add(name)
        is_out = bool(spans) and spans[-1].until_s == inf
        if OUT in keys and not is_out:
            spans.append(Span(at_s))
        elif OUT not in keys and is_out:
            spans[-1].until_s = at_s

    # Jobs

    def _pod_of_job(self, at_s: float, old: Pod | None, new: Pod | None, owner: Any) -> None:
        counted = self._jobs.setdefault(owner.uid, Counted())
        if new is not None and new.status.phase == "Succeeded":
            counted.succeeded.add(new.metadata.uid)
        if old is not None or new is None:
            return
        if counted.finished_s < at_s - STALE_S:
            self._fail("finished Jobs", f"{new.metadata.name} is made, {owner.name} is over: {counted.outcome}")
        job = next((each for each in self._of(Job) if each.metadata.uid == owner.uid), None)
        active = [p for p in self._of(Pod) if is_active(p) and (it := controller(p)) and it.uid == owner.uid]
        if job is not None and len(active) > (job.spec.parallelism if job.spec.parallelism is not None else 1):
            self._fail("parallelism", f"{owner.name} has {len(active)} active pods of {job.spec.parallelism}")

    def _job(self, at_s: float, new: Job) -> None:
        name, counted = new.metadata.name, self._jobs.setdefault(new.metadata.uid, Counted())
        if (new.status.succeeded or 0) > len(counted.succeeded):
            self._fail("counted once", f"{name}: {new.status.succeeded} of {len(counted.succeeded)} succeeded")
        done = [c.type for c in new.status.conditions if c.type in ("Complete", "Failed") and c.status == "True"]
        outcome = "".join(done)
        if counted.outcome and outcome != counted.outcome:
            self._fail("finished Jobs", f"{name} was {counted.outcome}, is {outcome or 'not'}")
        if outcome and not counted.outcome:
            counted.finished_s, counted.outcome = at_s, outcome

    # Fields

    def _quarrel(self, old: ConfigMap | None, new: ConfigMap) -> None:
        before = dict(old.data) if old is not None else {}
        for name, count in before.items():
            if name != "shared" and int(new.data.get(name, "-1")) < int(count):
                self._fail("lost update", f"{QUARREL}: {name} was {count}, is {new.data.get(name)}")
        was, is_ = before.get("shared", ""), new.data.get("shared", "")
        if was and is_ and was.split()[0] != is_.split()[0] and not is_.endswith("by force"):
            self._fail("owners of fields", f"{QUARREL}: what was {was!r} is {is_!r}, and was not forced")

    def applied(self, name: str, count: int) -> None:
        """An apply was acknowledged."""
        stored = self._objects.get(f"/registry/core/configmaps/default/{QUARREL}")
        if stored is None or int(stored.data.get(name, "-1")) < count:
            self._fail("lost update", f"{QUARREL}: {name}={count} was acknowledged and is not stored")
