"""From a seed to what happens: the cluster's size, what users do and what breaks, each at its time."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.simulation import pressure, troubles, workloads
from tests.simulation.moment import CPU_M, IMAGES, WARM_UP_S, Event

# What users do; what breaks is in ``troubles``. Those about one object come one after the other, each until it is
# acknowledged.


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
            events.append(chance.choice(troubles.CHOOSERS)(chance, at_s, nodes, control_planes))
        works = [event for event in events if isinstance(event, WORK)]
        for _ in range(chance.choice((0, 0, 1, 2))):
            at_s = chance.choice(works).at_s + 0.1 * chance.random() ** 2
            events.append(troubles.LeaderStandsStill(at_s=at_s, for_s=chance.choice((2.5, 4.0, 12.0))))
    events = _with_claims(seed, events, span_s) + others
    events += _shared(seed, events, span_s)
    events += troubles.more(seed, WARM_UP_S, span_s, nodes, control_planes)
    for event in others:
        if isinstance(event, CreateDeployment) and event.priority_class:
            events.append(DeleteOwner(at_s=WARM_UP_S + span_s, name=event.name, propagation="Background"))
    if any(isinstance(event, pressure.EvictAll) for event in others):
        events = [pressure.with_limit(e) if isinstance(e, workloads.CreateBudget) else e for e in events]
    events.sort(key=lambda event: event.at_s)
    ends_s = WARM_UP_S + span_s + 5.0
    return Plan(seed=seed, control_planes=control_planes, nodes=nodes, writers=2, ends_s=ends_s, events=tuple(events))


def _shared(seed: int, events: list[Event], span_s: float) -> list[Event]:
    """What belongs to several, of whom one goes."""
    chance = random.Random(f"shared {seed}")
    names = tuple(each.name for each in events if isinstance(each, CreateDeployment) and each.name.startswith("web"))
    if len(names) < 2 or chance.random() >= 0.25:
        return []
    begin_s = WARM_UP_S + 6.0
    goes_s = begin_s + chance.random() * (span_s - 6.0)
    propagation = chance.choice(("Background", "Foreground", "Orphan"))
    return [
        pressure.CreateShared(at_s=begin_s, name="shared", owners=names),
        DeleteOwner(at_s=goes_s, name=chance.choice(names), propagation=propagation),
    ]


def _with_claims(seed: int, events: list[Event], span_s: float) -> list[Event]:
    """Some StatefulSets have claims. They are scaled to and fro: what a pod leaves behind another may find."""
    chance, late = random.Random(f"claims {seed}"), random.Random(f"late claims {seed}")
    found = list(events)
    for place, event in enumerate(events):
        if isinstance(event, workloads.CreateStatefulSet) and chance.random() < 0.5:
            scaled, deleted = (chance.choice(("Retain", "Delete")) for _ in range(2))
            found[place] = replace(event, when_scaled=scaled, when_deleted=deleted)
            for _ in range(chance.randint(0, 3)):
                at_s = event.at_s + chance.random() * (WARM_UP_S + span_s - event.at_s)
                found.append(Scale(at_s=at_s, name=event.name, replicas=chance.randint(0, 2)))
                found.append(Scale(at_s=at_s + 4.0 * chance.random(), name=event.name, replicas=chance.randint(1, 5)))
                if scaled == "Delete" and late.random() < 0.5:  # a pod goes, and its claim is left to the next leader
                    still_s = at_s + 0.5 * late.random() ** 2
                    found.append(troubles.LeaderStandsStill(at_s=still_s, for_s=late.choice((4.0, 12.0))))
    return found


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
