"""Carries out what a plan breaks."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from tests.simulation import plan
from tests.simulation.cluster import LEASE_KEY, TERM_KEY, Cluster, ControlPlane
from tests.simulation.invariants import Invariants
from tests.simulation.machine import Machine
from tests.simulation.watchers import Watcher

FAULTS = (
    plan.KillControlPlane,
    plan.KillAgent,
    plan.StandStill,
    plan.LeaderStandsStill,
    plan.PowerLoss,
    plan.Partition,
    plan.BadNetwork,
    plan.BreakStreams,
    plan.BadStore,
    plan.StoreDown,
    plan.StoreFull,
    plan.LoseLease,
    plan.BreakStoreWatch,
    plan.Compact,
    plan.ClockJump,
    plan.RuntimeDown,
    plan.CrashContainers,
)


def is_fault(event: plan.Event) -> bool:
    return isinstance(event, FAULTS)


def break_something(cluster: Cluster, invariants: Invariants, watchers: Sequence[Watcher], event: plan.Event) -> None:
    """Begin what the event says; it ends by itself, or with ``Cluster.mend``."""
    machines, control_planes = cluster.machines, cluster.control_planes
    match event:
        case plan.KillControlPlane():
            control_planes[event.number].kill()
            cluster.later(event.down_s, control_planes[event.number].start)
        case plan.KillAgent():
            machines[event.node].kill()
            cluster.later(event.down_s, machines[event.node].start)
        case plan.StandStill():
            part = control_planes[event.number] if event.number >= 0 else machines[-event.number - 1]
            part.stand_still()
            cluster.later(event.for_s, part.go_on)
        case plan.LeaderStandsStill():
            term = invariants.objects.get(TERM_KEY)
            leaders = [each for each in control_planes if term is not None and each.leads(term.spec.holder_identity)]
            for leader in leaders:
                leader.stand_still()
                cluster.later(event.for_s, leader.go_on)
        case plan.PowerLoss():
            if event.forgets:
                invariants.forgetful.add(machines[event.node].name)
            machines[event.node].lose_power(forgets=event.forgets)
            cluster.later(event.down_s, _boot, machines[event.node])
        case plan.Partition():
            machines[event.node].network.part()
            cluster.later(event.for_s, machines[event.node].network.mend)
        case plan.BadNetwork():
            trouble = machines[event.node].network.trouble
            trouble.longest_delay_s = event.longest_delay_s
            trouble.lost_request, trouble.lost_answer = event.lost_request, event.lost_answer
            trouble.late_copy = event.late_copy
            cluster.later(event.for_s, trouble.calm)
        case plan.BreakStreams():
            machines[event.node].network.break_streams()
            for watcher in watchers:
                watcher.user.network.break_streams()
        case plan.BadStore():
            trouble = control_planes[event.number].trouble
            trouble.longest_delay_s = event.longest_delay_s
            trouble.lost_request, trouble.lost_answer = event.lost_request, event.lost_answer
            cluster.later(event.for_s, trouble.calm)
        case plan.StoreDown() | plan.StoreFull():
            chosen = control_planes
            if isinstance(event, plan.StoreDown) and event.number >= 0:
                chosen = [control_planes[event.number]]
            for control_plane in chosen:
                control_plane.trouble.down |= isinstance(event, plan.StoreDown)
                control_plane.trouble.full |= isinstance(event, plan.StoreFull)
                if isinstance(event, plan.StoreDown):
                    _break_watch(control_plane)
                cluster.later(event.for_s, control_plane.trouble.calm)
        case plan.LoseLease():
            control_planes[event.number].trouble.unwritable = LEASE_KEY
            cluster.later(event.for_s, control_planes[event.number].trouble.calm)
        case plan.BreakStoreWatch():
            _break_watch(control_planes[event.number])
        case plan.Compact():
            if event.break_watches:
                for control_plane in control_planes:
                    _break_watch(control_plane)
            cluster.truth.forget(cluster.truth.newest())
        case plan.ClockJump():
            part = control_planes[event.number] if event.number >= 0 else machines[-event.number - 1]
            invariants.rights.clocks_jumped = True
            part.clock.skew += datetime.timedelta(seconds=event.by_s)
        case plan.RuntimeDown():
            machines[event.node].cri.is_down = True
            machines[event.node].cri.break_events()
            cluster.later(event.for_s, _answer, machines[event.node])
        case plan.CrashContainers():
            cri = machines[event.node].cri
            for container in list(cri.containers.values()):
                cri.finish(container, 1)
        case _:
            raise TypeError(f"{event} is nothing that breaks")


def _boot(machine: Machine) -> None:
    machine.network.mend()
    machine.start()


def _answer(machine: Machine) -> None:
    machine.cri.is_down = False


def _break_watch(control_plane: ControlPlane) -> None:
    if control_plane.store is not None:
        control_plane.store.breaker.trip()
