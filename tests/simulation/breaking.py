"""Carries out what a plan breaks."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from tests.simulation import troubles
from tests.simulation.cluster import LEASE_KEY, TERM_KEY, Cluster, ControlPlane
from tests.simulation.invariants import Invariants
from tests.simulation.machine import Machine
from tests.simulation.watchers import Watcher


def break_something(
    cluster: Cluster, invariants: Invariants, watchers: Sequence[Watcher], event: troubles.Fault
) -> None:
    """Begin what the event says; it ends by itself, or with ``Cluster.mend``."""
    machines, control_planes = cluster.machines, cluster.control_planes
    cluster.fired[type(event).__name__] += _strikes(cluster, invariants, event)
    match event:
        case troubles.KillControlPlane():
            control_planes[event.number].kill()
            cluster.later(event.down_s, control_planes[event.number].start)
        case troubles.KillAgent():
            machines[event.node].kill()
            cluster.later(event.down_s, machines[event.node].start)
        case troubles.StandStill():
            part = control_planes[event.number] if event.number >= 0 else machines[-event.number - 1]
            part.stand_still()
            cluster.later(event.for_s, part.go_on)
        case troubles.LeaderStandsStill():
            for leader in _leaders(cluster, invariants):
                leader.stand_still()
                cluster.later(event.for_s, leader.go_on)
        case troubles.PowerLoss():
            if event.forgets:
                invariants.forgetful.add(machines[event.node].name)
            machines[event.node].lose_power(forgets=event.forgets)
            cluster.later(event.down_s, _boot, machines[event.node])
        case troubles.Partition():
            machines[event.node].network.part()
            cluster.later(event.for_s, machines[event.node].network.mend)
        case troubles.Isolate():
            cluster.endpoints.isolate(event.number)
            cluster.later(event.for_s, cluster.endpoints.isolated.discard, event.number)
        case troubles.BadNetwork():
            trouble = machines[event.node].network.trouble
            trouble.longest_delay_s = event.longest_delay_s
            trouble.lost_request, trouble.lost_answer = event.lost_request, event.lost_answer
            trouble.late_copy = event.late_copy
            cluster.later(event.for_s, trouble.calm)
        case troubles.BadAccess():
            access = cluster.access
            access.longest_delay_s = event.longest_delay_s
            access.lost_request, access.lost_answer = event.lost_request, event.lost_answer
            cluster.later(event.for_s, access.calm)
        case troubles.BreakStreams():
            machines[event.node].network.break_streams()
            for watcher in watchers:
                watcher.user.network.break_streams()
        case troubles.BadStore():
            trouble = control_planes[event.number].trouble
            trouble.late_request = event.lost_answer / 2
            trouble.longest_delay_s = event.longest_delay_s
            trouble.lost_request, trouble.lost_answer = event.lost_request, event.lost_answer
            cluster.later(event.for_s, trouble.calm)
        case troubles.StoreDown() | troubles.StoreFull():
            chosen = control_planes
            if isinstance(event, troubles.StoreDown) and event.number >= 0:
                chosen = [control_planes[event.number]]
            for control_plane in chosen:
                control_plane.trouble.down |= isinstance(event, troubles.StoreDown)
                control_plane.trouble.full |= isinstance(event, troubles.StoreFull)
                if isinstance(event, troubles.StoreDown):
                    _break_watch(control_plane)
                cluster.later(event.for_s, control_plane.trouble.calm)
        case troubles.LoseLease():
            control_planes[event.number].trouble.unwritable = LEASE_KEY
            cluster.later(event.for_s, control_planes[event.number].trouble.calm)
        case troubles.BreakStoreWatch():
            _break_watch(control_planes[event.number])
        case troubles.Compact():
            if event.break_watches:
                for control_plane in control_planes:
                    _break_watch(control_plane)
            cluster.truth.forget(cluster.truth.newest())
        case troubles.ClockJump():
            part = control_planes[event.number] if event.number >= 0 else machines[-event.number - 1]
            invariants.rights.clocks_jumped = True
            part.clock.skew += datetime.timedelta(seconds=event.by_s)
        case troubles.RuntimeDown():
            machines[event.node].cri.is_down = True
            machines[event.node].cri.break_events()
            cluster.later(event.for_s, _answer, machines[event.node])
        case troubles.CrashContainers():
            cri = machines[event.node].cri
            for container in list(cri.containers.values()):
                cri.finish(container, 1)
        case _:
            raise TypeError(f"{event} is nothing that breaks")


def _leaders(cluster: Cluster, invariants: Invariants) -> list[ControlPlane]:
    term = invariants.objects.get(TERM_KEY)
    return [each for each in cluster.control_planes if term is not None and each.leads(term.spec.holder_identity)]


def _strikes(cluster: Cluster, invariants: Invariants, event: troubles.Fault) -> bool:
    """Whether there is something that it can break now."""
    match event:
        case (
            troubles.KillControlPlane()
            | troubles.BreakStoreWatch()
            | troubles.LoseLease()
            | troubles.BadStore()
            | troubles.Isolate()
        ):
            return cluster.control_planes[event.number].lives
        case troubles.KillAgent() | troubles.PowerLoss():
            return cluster.machines[event.node].lives
        case troubles.StandStill():
            parts = cluster.control_planes if event.number >= 0 else cluster.machines
            return parts[event.number if event.number >= 0 else -event.number - 1].lives
        case troubles.LeaderStandsStill():
            return any(leader.lives for leader in _leaders(cluster, invariants))
        case troubles.Partition():
            return not cluster.machines[event.node].network.cut
        case troubles.CrashContainers():
            return bool(cluster.machines[event.node].running())
    return True


def _boot(machine: Machine) -> None:
    machine.network.mend()
    machine.start()


def _answer(machine: Machine) -> None:
    machine.cri.is_down = False


def _break_watch(control_plane: ControlPlane) -> None:
    if control_plane.store is not None:
        control_plane.store.breaker.trip()
