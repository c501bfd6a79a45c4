"""Room in an etcd that is full: history goes, members give back what they do not use, and the alarm is taken off.

etcd refuses all writes once a member has reached its quota, also after there is room again: until somebody
compacts, defragments and disarms it. Each control plane that was refused does so, one a little after the other;
where nothing was freed the next write raises the alarm again and nothing is lost. Source: etcd documentation,
"Maintenance".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog
from aetcd import rpc

from knarr_api.errors import KnarrError
from knarr_controlplane.store.etcd import EtcdStore

LOOK_S = 10.0
DEFRAGMENT_TIMEOUT_S = 600.0
WORTH_IT = 0.9
"""A member is defragmented when less than this part of its file is in use: it answers nobody meanwhile."""


async def keep(store: EtcdStore, *, look_s: float = LOOK_S, uniform: Callable[[], float] = random.random) -> None:
    """Make room whenever a write was refused for want of it, until cancelled."""
    log = structlog.get_logger("knarr.store")
    while True:
        await store.full.wait()
        await asyncio.sleep(look_s * (0.5 + uniform()))
        try:
            if await _alarms(store):
                freed = await make_room(store)
                log.warning("etcd was full: it takes writes again as far as there is room", freed_bytes=freed)
            store.full.clear()
        except KnarrError as error:
            log.warning("etcd is full, and no room could be made", error=str(error))


async def make_room(store: EtcdStore) -> int:
    """How many bytes the members gave back. History is forgotten: whoever needs it lists again."""
    await store.compact(await store.revision(), wait=True)
    freed = 0
    for endpoint in store.endpoints:
        try:
            freed += await _defragment(store, endpoint)
        except KnarrError as error:  # one that is down has no alarm of its own, or is looked at next time
            structlog.get_logger("knarr.store").warning("a member of etcd can't be defragmented", error=str(error))
    for alarm in await _alarms(store):
        request = rpc.AlarmRequest(action=rpc.AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm)
        await store.call(store.maintenance.Alarm, request)
    return freed


async def _defragment(store: EtcdStore, endpoint: str) -> int:
    member = await store.to_member(endpoint)
    try:
        before = await member.call(member.maintenance.Status, rpc.StatusRequest())
        if before.dbSizeInUse >= WORTH_IT * before.dbSize:
            return 0
        await member.call(member.maintenance.Defragment, rpc.DefragmentRequest(), DEFRAGMENT_TIMEOUT_S)
        after = await member.call(member.maintenance.Status, rpc.StatusRequest())
        return int(before.dbSize - after.dbSize)
    finally:
        await member.close()


async def _alarms(store: EtcdStore) -> list[rpc.AlarmMember]:
    answer = await store.call(store.maintenance.Alarm, rpc.AlarmRequest(action=rpc.AlarmRequest.GET))
    return [alarm for alarm in answer.alarms if alarm.alarm == rpc.AlarmType.NOSPACE]
