"""What must always hold, checked at every write of the truth and at every start of a container.

Faults excuse little: a view may be old by as much as messages are late (``STALE_S``), and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from knarr_api.kinds import KINDS
from knarr_api.types.apps_v1 import Deployment, ReplicaSet
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import ConfigMap, Pod
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.protocol import Check, Operation, Put
from tests.simulation.claims import Claims
from tests.simulation.cluster import LEADING, LEASE_KEY, TERM_KEY
from tests.simulation.loop import Process
from tests.simulation.machine import Machine
from tests.simulation.moment import CPU_M, PODS, STALE_S
from tests.simulation.promises import Promises
from tests.simulation.rights import Rights
from tests.simulation.state import ENDED, asked, controller, cpu_m, is_active, is_going, most

HOLD = "simulation.example/hold"
"""A finalizer that only its user takes away."""
WRITES_MAX = 200_000
"""A hundred times what a life takes."""
_KINDS = {kind.key_prefix: kind for kind in reversed(KINDS)}


class Violation(Exception):
    """An invariant does not hold. name: which."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Written:
    """One change in the history of a key."""

    at_s: float
    revision: int
    key: str
    obj: Any
    """None for a deletion."""
    by: str
    leading: bool


@dataclass(slots=True)
class Limits:
    """What a Deployment allowed and since when: an older one may still be followed for a while."""

    pods: list[tuple[float, int]] = field(default_factory=list)

    def set(self, at_s: float, count: int) -> None:
        self.pods.append((at_s, count))

    def highest(self, now_s: float) -> int:
        """Over all that held within the time that a view may be old."""
        recent = [count for at_s, count in self.pods if at_s >= now_s - STALE_S]
        before = [count for at_s, count in self.pods if at_s < now_s - STALE_S]
        return max((*recent, *before[-1:]), default=0)


class Invariants:
    """Follows the truth. ``violation`` is the first that was found."""

    def __init__(self, storage: Storage, *, log: bool = False, only: str = "") -> None:
        """only: the invariant that is looked at; "" for all."""
        self.violation: Violation | None = None
        self.found = asyncio.Event()
        self.objects: dict[str, Any] = {}
        self.revisions: dict[str, int] = {}
        """Of these."""
        self._by_type: dict[type[Any], dict[str, Any]] = {}
        self.history: dict[str, list[Written]] = {}
        """By the prefix of its kind's keys."""
        self.last_write_s = 0.0
        self.writes: list[Written] = []
        self.digest = hashlib.sha256()
        self.commits = 0
        self.released: set[str] = set()
        """Names of objects whose finalizer its user has asked to remove."""
        self._storage = storage
        self._log = log
        self._only = only
        self._gone: set[str] = set()
        """Uids."""
        self._bound: dict[str, str] = {}
        self._used: dict[str, dict[str, tuple[int, str]]] = {}
        """By node and pod uid: the thousandths of a core, and the pod's name."""
        self._limits: dict[str, Limits] = {}
        self._wanted: dict[str, Limits] = {}
        """Of ReplicaSets, by uid."""
        self._runs: dict[tuple[str, str], int] = {}
        self.forgetful: set[str] = set()
        """Nodes whose runtime has lost its records at some time."""
        self.machines: Sequence[Machine] = ()
        told = self.objects, self.of, self.fail
        self.promises, self.rights, self.claims = Promises(*told), Rights(*told), Claims(*told)

    def fail(self, name: str, text: str) -> None:
        self.tell(Violation(name, f"at {asyncio.get_running_loop().time():.3f} s: {text}"))

    def tell(self, violation: Violation) -> None:
        if self.violation is None and self._only in ("", violation.name):
            self.violation = violation
            self.found.set()

    # What is told

    def issued(self, process: Process, operations: Sequence[Operation]) -> None:
        """A write leaves a control plane. One that stood still may not know yet that it leads no more."""
        if not LEADING.get() or process.stood_still:
            return
        lease = self.objects.get(LEASE_KEY)
        holder = lease.spec.holder_identity if isinstance(lease, Lease) else ""
        if holder and holder != process.name:
            keys = ", ".join(operation.key for operation in operations)
            self.fail("one leader", f"{process.name} writes {keys} while {holder} holds the lease")

    def committed(self, process: Process, operations: Sequence[Operation], revisions: Sequence[int]) -> None:
        self.commits += 1
        if self.commits > WRITES_MAX:
            self.fail("liveness", f"more than {WRITES_MAX} writes: it goes on without end")
        term = self.objects.get(TERM_KEY)
        if LEADING.get() and (not isinstance(term, Lease) or term.spec.holder_identity != process.name):
            keys = ", ".join(operation.key for operation in operations)
            self.fail("one leader", f"{process.name} has written {keys} in the term of another")
        now_s = asyncio.get_running_loop().time()
        for operation, revision in zip(operations, revisions, strict=True):
            if isinstance(operation, Check) or not revision:
                continue
            key = operation.key
            value = operation.value if isinstance(operation, Put) else None
            line = f"{now_s:.6f} {process.name} {key} {revision} ".encode() + (value or b"")
            self.digest.update(line)
            if self._log:
                print(line.decode())
            kind = _KINDS.get("/".join(key.split("/")[:4]) + "/")
            if kind is None:
                continue
            new = self._storage.decode(kind, key, value, revision).value() if value is not None else None
            written = Written(now_s, revision, key, new, process.name, LEADING.get())
            old = self.objects.get(key)
            self.history.setdefault(kind.key_prefix, []).append(written)
            self.writes.append(written)
            if new is None:
                self.objects.pop(key, None)
                self.revisions.pop(key, None)
                self._by_type.get(kind.type, {}).pop(key, None)
            else:
                self.objects[key] = new
                self.revisions[key] = revision
                self._by_type.setdefault(kind.type, {})[key] = new
            self._check(written, old, new)
            for law in (self.promises, self.rights, self.claims):
                law.written(now_s, old, new, leading=written.leading)

    def started(self, machine: Machine, config: Any) -> None:
        """A container was started."""
        uid, name = config.labels["io.kubernetes.pod.uid"], config.metadata.name
        for other in self.machines:
            if other is not machine and uid in other.running():
                self.fail("one node per pod", f"pod {uid} runs on {other.name} and {machine.name}")
        running = [(other.name, each) for other in self.machines for each in other.running()]
        self.promises.started(uid, running)
        self.promises.started_beside(uid, machine.running(), machine.name)
        if self._bound.get(uid) != machine.name:
            self.fail("one node per pod", f"pod {uid} starts on {machine.name}, bound to {self._bound.get(uid)}")
        pod = next((p for p in self.of(Pod) if p.metadata.uid == uid), None)
        count = self._runs[uid, name] = self._runs.get((uid, name), 0) + 1
        never = pod is not None and pod.spec.restart_policy == "Never"
        if never and count > 1 and machine.name not in self.forgetful:
            self.fail("restart policy", f"{name} of pod {uid} is started {count} times; Never")

    # What is checked

    def of(self, type_: type[Any]) -> list[Any]:
        return list(self._by_type.get(type_, {}).values())

    def _check(self, written: Written, old: Any, new: Any) -> None:
        obj = new if new is not None else old
        self._deletion(written.key, old, new)
        if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
            self.fail("names", f"{written.key}: {old.metadata.uid} is replaced by {new.metadata.uid} in one write")
        match obj:
            case Pod():
                self._pod(written, old, new)
            case ConfigMap():
                self._config_map(old, new)
            case Deployment() if new is not None:
                self._deployment(written, new)
            case ReplicaSet() if new is not None:
                self._replica_set(written, old, new)

    def _deletion(self, key: str, old: Any, new: Any) -> None:
        """It is for ever."""
        if new is None:
            self._gone.add(old.metadata.uid)
        elif old is None and new.metadata.uid in self._gone:
            self.fail("lost update", f"{key} ({new.metadata.uid}) was removed and is there again")
        elif old is not None and old.metadata.uid == new.metadata.uid and is_going(old) and not is_going(new):
            self.fail("lost update", f"{key} was being deleted and is not any more")

    def _pod(self, written: Written, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        assert pod is not None
        uid, node = pod.metadata.uid, pod.spec.node_name
        before = self._bound.get(uid)
        if before and node != before:
            self.fail("bound once", f"pod {pod.metadata.name} ({uid}) was bound to {before}, now to {node!r}")
        if node:
            self._bound[uid] = node
            used = self._used.setdefault(node, {})
            if new is None or new.status.phase in ENDED:
                used.pop(uid, None)
            elif uid not in used:
                used[uid] = (cpu_m(pod), pod.metadata.name)
                if sum(cpu for cpu, _ in used.values()) > CPU_M or len(used) > PODS:
                    self.fail("capacity", f"{node} is over-committed by {pod.metadata.name}: {sorted(used.values())}")
        if old is not None and old.status.phase in ENDED and new is not None and new.status.phase != old.status.phase:
            self.fail("ended pods", f"pod {pod.metadata.name} was {old.status.phase} and is {new.status.phase}")
        if old is None:
            self._surge(written, pod)

    def _surge(self, written: Written, pod: Pod) -> None:
        """A pod more must be one that its ReplicaSet asks for."""
        owner = controller(pod)
        if owner is None or owner.kind != "ReplicaSet":
            return
        active = [p for p in self.of(Pod) if is_active(p) and (c := controller(p)) and c.uid == owner.uid]
        limits = self._wanted.get(owner.uid)
        limit = limits.highest(written.at_s) if limits is not None else 0
        if len(active) > limit:
            self.fail("replicas", f"{owner.name} has {len(active)} active pods, asked for at most {limit}")

    def _deployment(self, written: Written, deployment: Deployment) -> None:
        limit = most(deployment)
        limits = self._limits.setdefault(deployment.metadata.uid, Limits())
        if not limits.pods or limits.pods[-1][1] != limit:
            limits.set(written.at_s, limit)

    def _replica_set(self, written: Written, old: ReplicaSet | None, new: ReplicaSet) -> None:
        wanted = asked(new)
        limits = self._wanted.setdefault(new.metadata.uid, Limits())
        grows = not limits.pods or wanted > limits.pods[-1][1]
        if not limits.pods or limits.pods[-1][1] != wanted:
            limits.set(written.at_s, wanted)
        owner = controller(new)
        if owner is None or not grows:
            return
        siblings = [rs for rs in self.of(ReplicaSet) if (c := controller(rs)) and c.uid == owner.uid]
        total = sum(map(asked, siblings))
        allowed = self._limits.get(owner.uid)
        limit = allowed.highest(written.at_s) if allowed is not None else 0
        if total > limit:
            self.fail("max surge", f"Deployment {owner.name} asks for {total} pods, at most {limit} are allowed")

    def _config_map(self, old: ConfigMap | None, new: ConfigMap | None) -> None:
        if new is None:
            assert old is not None
            name = old.metadata.name
            if old.metadata.name.startswith("held") and name not in self.released:
                self.fail("finalizers", f"ConfigMap {name} is gone, but {HOLD} was never taken from it")
            return
        if not new.metadata.name.startswith("counter"):
            return
        before = dict(old.data) if old is not None else {}
        for writer, count in before.items():
            if int(new.data.get(writer, "-1")) < int(count):
                self.fail("lost update", f"{new.metadata.name}: {writer} was {count}, is {new.data.get(writer)}")

    def acknowledged(self, name: str, writer: str, count: int) -> None:
        """A counter's write was answered: it must be there."""
        stored = self.objects.get(f"/registry/core/configmaps/default/{name}")
        if stored is None or int(stored.data.get(writer, "-1")) < count:
            self.fail("lost update", f"{name}: {writer}={count} was acknowledged and is not stored")
