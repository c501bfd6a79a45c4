"""What can break in a plan, and how a seed chooses among it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.moment import Event


class Fault(Event):
    """Ends by itself, or when everything is mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillControlPlane(Fault):
    number: int
    down_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KillAgent(Fault):
    node: int
    down_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StandStill(Fault):
    """The process of a control plane or of (number < 0) a node's agent, as after SIGSTOP; then it goes on."""

    number: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderStandsStill(Fault):
    """Whichever control plane leads then."""

    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLoss(Fault):
    """Nothing of what ran is left. forgets: the runtime has no record of it either."""

    node: int
    down_s: float
    forgets: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition(Fault):
    """The node reaches no control plane."""

    node: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolate(Fault):
    """Nobody reaches a control plane, which reaches its store."""

    number: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BadNetwork(Fault):
    node: int
    for_s: float
    longest_delay_s: float
    lost_request: float
    lost_answer: float
    late_copy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAccess(Fault):
    """All users' ways to the control planes. Nothing comes twice but what they try again themselves."""

    for_s: float
    longest_delay_s: float
    lost_request: float
    lost_answer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakStreams(Fault):
    node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadStore(Fault):
    """As one control plane finds it."""

    number: int
    for_s: float
    longest_delay_s: float
    lost_request: float
    lost_answer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDown(Fault):
    """number: for which control plane; -1: for all."""

    number: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFull(Fault):
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseLease(Fault):
    """One control plane can't write the leader's lease, and everything else as before."""

    number: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakStoreWatch(Fault):
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact(Fault):
    """Everything but the newest is forgotten. break_watches: in the same moment, so that they come back too late."""

    break_watches: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump(Fault):
    """Of one control plane's or (number < 0) one node's wall clock."""

    number: int
    by_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeDown(Fault):
    node: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashContainers(Fault):
    """Every container of the node ends with an error."""

    node: int


MESSAGES = (
    "answer lost",
    "call cut off",
    "call done twice",
    "call lost",
    "compacted before it was seen",
    "control plane not reached",
    "leader changed",
    "lease not renewed",
    "message held back",
    "message lost",
    "node taken for lost",
    "store answer lost",
    "store down",
    "store full",
    "store request late",
    "store request lost",
    "store watch broken off",
    "stream broken off",
    "watcher lists anew",
    "writers in conflict",
)
"""What is counted besides the faults themselves: what became of them."""
KINDS = tuple(each for each in tuple(globals().values()) if isinstance(each, type) and Fault in each.__mro__[1:])
FAULTS = (*sorted(each.__name__ for each in KINDS), *MESSAGES)
"""The names of all that can break. One that never does in many lives is a mistake."""


Chooser = Callable[[random.Random, float, int, int], Fault]
"""Of a source of chance, when, the numbers of nodes and of control planes."""


def _bad_network(chance: random.Random, at_s: float, nodes: int, _: int) -> Fault:
    return BadNetwork(
        at_s=at_s,
        node=chance.randrange(nodes),
        for_s=chance.uniform(1, 30),
        longest_delay_s=chance.choice((0.01, 0.3, 2.0)),
        lost_request=chance.choice((0.0, 0.1, 0.5)),
        lost_answer=chance.choice((0.0, 0.1, 0.5)),
        late_copy=chance.choice((0.0, 0.5)),
    )


def _bad_store(chance: random.Random, at_s: float, _: int, control_planes: int) -> Fault:
    return BadStore(
        at_s=at_s,
        number=chance.randrange(control_planes),
        for_s=chance.uniform(1, 20),
        longest_delay_s=chance.choice((0.01, 0.2, 1.5)),
        lost_request=chance.choice((0.0, 0.1, 0.4)),
        lost_answer=chance.choice((0.0, 0.1, 0.4)),
    )


CHOOSERS: tuple[Chooser, ...] = (
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


def more(seed: int, begin_s: float, span_s: float, nodes: int, control_planes: int) -> list[Fault]:
    """What comes to a plan's faults: in some a control plane that nobody reaches, or users who reach them badly; in a
    few many at once."""
    chance = random.Random(f"more troubles {seed}")
    found: list[Fault] = []

    def some_time() -> float:
        return begin_s + chance.random() * span_s

    if chance.random() < 0.25:
        for _ in range(chance.randint(1, 3)):
            for_s = chance.choice((2.0, 8.0, 20.0))
            found.append(Isolate(at_s=some_time(), number=chance.randrange(control_planes), for_s=for_s))
    if chance.random() < 0.3:
        delay_s, request, answer = (chance.choice(each) for each in ((0.01, 0.3, 1.5), (0.0, 0.2), (0.1, 0.4)))
        found.append(
            BadAccess(
                at_s=some_time(),
                for_s=chance.uniform(3, 30),
                longest_delay_s=delay_s,
                lost_request=request,
                lost_answer=answer,
            )
        )
    if chance.random() < 0.1:
        for _ in range(chance.randint(10, 25)):
            found.append(chance.choice(CHOOSERS)(chance, some_time(), nodes, control_planes))
    return found
