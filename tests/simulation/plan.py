"""From a seed to what happens: the cluster's size, what users do and what breaks, each at its time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation import pressure, workloads
from tests.simulation.moment import CPU_M, IMAGES, WARM_UP_S, Event

# What users do. Those about one object come one after the other, each until it is acknowledged.


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDeployment(Event):
    name: str
    replicas: int
    max_surge: int
    max_unavailable: int
    cpu_m: int
    priority_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(Event):
    name: str
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetImage(Event):
    """A rollout, or with an image that was there before a rollback."""

    name: str
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOwner(Event):
    """A Deployment, StatefulSet or DaemonSet."""

    name: str
    propagation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateJob(Event):
    name: str
    completions: int
    parallelism: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteJob(Event):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePod(Event):
    name: str
    restart_policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePod(Event):
    name: str
    grace_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSomePod(Event):
    """Whichever pod of a Deployment, StatefulSet or DaemonSet comes at that place among them, by name."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Event):
    """A ConfigMap with a finalizer of its user's is made and deleted at once; it must stay until the release."""

    name: str
    release_at_s: float


# What breaks.


@dataclass(frozen=True, slots=True, kw_only=True)
class KillControlPlane(Event):
    number: int
    down_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KillAgent(Event):
    node: int
    down_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StandStill(Event):
    """The process of a control plane or of (number < 0) a node's agent, as after SIGSTOP; then it goes on."""

    number: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderStandsStill(Event):
    """Whichever control plane leads then."""

    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLoss(Event):
    """Nothing of what ran is left. forgets: the runtime has no record of it either."""

    node: int
    down_s: float
    forgets: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition(Event):
    """The node reaches no control plane."""

    node: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BadNetwork(Event):
    node: int
    for_s: float
    longest_delay_s: float
    lost_request: float
    lost_answer: float
    late_copy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakStreams(Event):
    node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadStore(Event):
    """As one control plane finds it."""

    number: int
    for_s: float
    longest_delay_s: float
    lost_request: float
    lost_answer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDown(Event):
    """number: for which control plane; -1: for all."""

    number: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFull(Event):
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseLease(Event):
    """One control plane can't write the leader's lease, and everything else as before."""

    number: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakStoreWatch(Event):
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact(Event):
    """Everything but the newest is forgotten. break_watches: in the same moment, so that they come back too late."""

    break_watches: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump(Event):
    """Of one control plane's or (number < 0) one node's wall clock."""

    number: int
    by_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeDown(Event):
    node: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashContainers(Event):
    """Every container of the node ends with an error."""

    node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """ends_s: no event is later; what was broken is mended then."""

    seed: int
    control_planes: int
    nodes: int
    writers: int
    ends_s: float
    events: tuple[Event, ...]


def make(seed: int) -> Plan:
    """The plan of a seed. Pure."""
    chance = random.Random(f"plan {seed}")
    large = chance.random()
    nodes = 200 if large < 0.003 else chance.randint(9, 20) if large < 0.1 else chance.randint(4, 7)
    control_planes = chance.choice((2, 2, 3))
    span_s, minutes = workloads.spans(chance)
    events = _actions(chance, span_s, nodes, minutes=minutes)
    others = pressure.more(seed, events, span_s, nodes, _passing)
    if chance.random() < 0.9:
        for _ in range(chance.randint(1, 12)):
            at_s = WARM_UP_S + chance.random() * span_s
            events.append(chance.choice(FAULTS)(chance, at_s, nodes, control_planes))
        works = [event for event in events if isinstance(event, WORK)]
        for _ in range(chance.choice((0, 0, 1, 2))):
            at_s = chance.choice(works).at_s + 0.1 * chance.random() ** 2
            events.append(LeaderStandsStill(at_s=at_s, for_s=chance.choice((2.5, 4.0, 12.0))))
    events += others
    for event in others:
        if isinstance(event, CreateDeployment) and event.priority_class:
            events.append(DeleteOwner(at_s=WARM_UP_S + span_s, name=event.name, propagation="Background"))
    if any(isinstance(event, pressure.EvictAll) for event in others):
        events = [pressure.with_limit(e) if isinstance(e, workloads.CreateBudget) else e for e in events]
    events.sort(key=lambda event: event.at_s)
    ends_s = WARM_UP_S + span_s + 5.0
    return Plan(seed=seed, control_planes=control_planes, nodes=nodes, writers=2, ends_s=ends_s, events=tuple(events))


def _passing(name: str, at_s: float, replicas: int, cpu_m: int, priority_class: str) -> CreateDeployment:
    return CreateDeployment(
        at_s=at_s,
        name=name,
        replicas=replicas,
        max_surge=0,
        max_unavailable=1,
        cpu_m=cpu_m,
        priority_class=priority_class,
    )


def _actions(chance: random.Random, span_s: float, nodes: int, *, minutes: bool) -> list[Event]:
    events: list[Event] = []

    def times(count: int) -> list[float]:
        return sorted(WARM_UP_S + chance.random() * span_s for _ in range(count))

    deployments = chance.randint(1, 3)
    most = deployments * (REPLICAS + 2)  # with their surge
    tight_m = (CPU_M - OTHERS_M) // -(-most // nodes)
    for number in range(deployments):
        surge = chance.randint(0, 2)
        events.append(
            CreateDeployment(
                at_s=WARM_UP_S + 5.0 * chance.random(),
                name=f"web-{number}",
                replicas=chance.randint(0, 8),
                max_surge=surge,
                max_unavailable=chance.randint(0 if surge else 1, 2),
                cpu_m=chance.choice((50, 200, tight_m)),
            )
        )
    events += workloads.first_actions(chance, span_s, deployments=deployments, minutes=minutes)
    owners = [event for event in events if isinstance(event, OWNERS)]
    for owner in owners:
        for at_s in times(chance.randint(0, 5)):
            event = _change(chance, max(at_s, owner.at_s), owner)
            if event is not None:
                events.append(event)
        if chance.random() < 0.2:
            propagation = chance.choice(("Background", "Foreground", "Orphan"))
            at_s = chance.choice((WARM_UP_S + span_s, max(times(1)[0], owner.at_s)))
            events.append(DeleteOwner(at_s=at_s, name=owner.name, propagation=propagation))
    if chance.random() < 0.5:
        first, last = times(2)
        events.append(
            CreateJob(at_s=first, name="work", completions=chance.randint(1, 6), parallelism=chance.randint(1, 4))
        )
        if chance.random() < 0.2:
            events.append(DeleteJob(at_s=last, name="work"))
    for number in range(chance.randint(0, 2)):
        first, last = times(2)
        name = f"bare-{number}"
        events.append(CreatePod(at_s=first, name=name, restart_policy=chance.choice(("Always", "OnFailure", "Never"))))
        if chance.random() < 0.7:
            events.append(DeletePod(at_s=last, name=name, grace_s=chance.choice((0, 1, 30))))
    if chance.random() < 0.3:
        first, last = times(2)
        events.append(Hold(at_s=first, name="held", release_at_s=last))
    return events


REPLICAS = 10
"""Of a Deployment, at most."""
OTHERS_M = 700
"""Of a node's thousandths of a core, for all but Deployments: what users ask for must fit in the end."""
Owner = CreateDeployment | workloads.CreateStatefulSet | workloads.CreateDaemonSet
WORK = (CreateDeployment, workloads.CreateStatefulSet, workloads.CreateDaemonSet, Scale, SetImage)
"""What the leader has something to do after."""
OWNERS = (CreateDeployment, workloads.CreateStatefulSet, workloads.CreateDaemonSet)


def _change(chance: random.Random, at_s: float, owner: Owner) -> Event | None:
    """Of one that is there; nobody scales a DaemonSet."""
    most = REPLICAS if isinstance(owner, CreateDeployment) else 5
    scale = Scale(at_s=at_s, name=owner.name, replicas=chance.randint(0, most))
    chosen = chance.choice(
        (
            scale,
            SetImage(at_s=at_s, name=owner.name, image=chance.choice(IMAGES)),
            SetImage(at_s=at_s, name=owner.name, image=chance.choice(IMAGES)),
            DeleteSomePod(at_s=at_s, number=chance.randint(0, 20)),
        )
    )
    return None if chosen is scale and isinstance(owner, workloads.CreateDaemonSet) else chosen


Fault = Callable[[random.Random, float, int, int], Event]


def _bad_network(chance: random.Random, at_s: float, nodes: int, _: int) -> Event:
    return BadNetwork(
        at_s=at_s,
        node=chance.randrange(nodes),
        for_s=chance.uniform(1, 30),
        longest_delay_s=chance.choice((0.01, 0.3, 2.0)),
        lost_request=chance.choice((0.0, 0.1, 0.5)),
        lost_answer=chance.choice((0.0, 0.1, 0.5)),
        late_copy=chance.choice((0.0, 0.1)),
    )


def _bad_store(chance: random.Random, at_s: float, _: int, control_planes: int) -> Event:
    return BadStore(
        at_s=at_s,
        number=chance.randrange(control_planes),
        for_s=chance.uniform(1, 20),
        longest_delay_s=chance.choice((0.01, 0.2, 1.5)),
        lost_request=chance.choice((0.0, 0.1, 0.4)),
        lost_answer=chance.choice((0.0, 0.1, 0.4)),
    )


FAULTS: tuple[Fault, ...] = (
    lambda c, at, nodes, cps: KillControlPlane(at_s=at, number=c.randrange(cps), down_s=c.uniform(0.2, 15)),
    lambda c, at, nodes, cps: KillControlPlane(at_s=at, number=c.randrange(cps), down_s=c.uniform(0.2, 3)),
    lambda c, at, nodes, cps: KillAgent(at_s=at, node=c.randrange(nodes), down_s=c.uniform(0.1, 20)),
    lambda c, at, nodes, cps: KillAgent(at_s=at, node=c.randrange(nodes), down_s=c.uniform(0.1, 3)),
    lambda c, at, nodes, cps: StandStill(at_s=at, number=c.randrange(cps), for_s=c.choice((0.5, 2.5, 6.0, 20.0))),
    lambda c, at, nodes, cps: StandStill(at_s=at, number=c.randrange(-nodes, cps), for_s=c.choice((2.5, 12.0, 30.0))),
    lambda c, at, nodes, cps: PowerLoss(
        at_s=at, node=c.randrange(nodes), down_s=c.choice((2.0, 12.0, 60.0)), forgets=c.random() < 0.5
    ),
    lambda c, at, nodes, cps: Partition(at_s=at, node=c.randrange(nodes), for_s=c.choice((2.0, 8.0, 15.0, 60.0))),
    _bad_network,
    _bad_network,
    lambda c, at, nodes, cps: BreakStreams(at_s=at, node=c.randrange(nodes)),
    _bad_store,
    _bad_store,
    lambda c, at, nodes, cps: StoreDown(at_s=at, number=c.randrange(-1, cps), for_s=c.uniform(0.3, 12)),
    lambda c, at, nodes, cps: StoreFull(at_s=at, for_s=c.uniform(0.5, 10)),
    lambda c, at, nodes, cps: LoseLease(at_s=at, number=c.randrange(cps), for_s=c.uniform(1, 12)),
    lambda c, at, nodes, cps: BreakStoreWatch(at_s=at, number=c.randrange(cps)),
    lambda c, at, nodes, cps: Compact(at_s=at, break_watches=c.random() < 0.5),
    lambda c, at, nodes, cps: ClockJump(
        at_s=at, number=c.randrange(-nodes, cps), by_s=c.choice((-3600.0, -5.0, 5.0, 90.0, 3600.0))
    ),
    lambda c, at, nodes, cps: RuntimeDown(at_s=at, node=c.randrange(nodes), for_s=c.uniform(0.5, 20)),
    lambda c, at, nodes, cps: CrashContainers(at_s=at, node=c.randrange(nodes)),
)
