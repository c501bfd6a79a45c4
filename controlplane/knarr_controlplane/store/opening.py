"""From what a user asked for to a store: ``sqlite``, ``etcd``, ``etcd://host:port,…``, ``memory``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knarr_api.errors import Invalid, KnarrError
from knarr_client.channel import is_address
from knarr_controlplane.store.etcd_process import EtcdProcess, EtcdTls, start
from knarr_controlplane.store.keeping import Keeper
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import Store
from knarr_controlplane.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from knarr_controlplane.store.etcd import EtcdStore


READING_S = 60.0
"""An etcd that was just started listens at once, and answers when it has read its data: of 2.5 GB it reads for 20 s."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A store and, where it was started for it, etcd. ``close`` ends both."""

    store: Store
    etcd: EtcdProcess | None = None
    upkeep: Callable[[], Coroutine[Any, Any, None]] | None = None
    """What must go on while it is used, until it is cancelled."""
    keeper: Keeper | None = None

    async def close(self) -> None:
        await self.store.close()
        if self.etcd is not None:
            await self.etcd.stop()


async def open_store(
    spec: str, data_dir: Path, *, tls: Callable[[], Awaitable[EtcdTls]] | None = None, remote_tls: EtcdTls | None = None
) -> Opened:
    """tls: makes certificates for an etcd that is started here; remote_tls: for one that is connected to.

    Raises Invalid for an unknown spec, and what opening raises.
    """
    if spec == "sqlite":
        return Opened(await SqliteStore.open(data_dir / "store.sqlite"))
    if spec == "memory":
        return Opened(MemoryStore())
    from knarr_controlplane.store import etcd_room

    opened = await open_etcd(spec, data_dir, tls=tls, remote_tls=remote_tls)
    return Opened(opened.store, opened.etcd, lambda: etcd_room.keep(opened.store), opened.store.keeper())


@dataclass(frozen=True, slots=True)
class OpenedEtcd:
    """As Opened."""

    store: EtcdStore
    etcd: EtcdProcess | None = None

    async def close(self) -> None:
        await Opened(self.store, self.etcd).close()


async def open_etcd(
    spec: str,
    data_dir: Path,
    *,
    tls: Callable[[], Awaitable[EtcdTls]] | None = None,
    remote_tls: EtcdTls | None = None,
    restoring: bool = False,
) -> OpenedEtcd:
    """As ``open_store``, for specs of etcd. restoring: to be filled."""
    from knarr_controlplane.store.etcd import EtcdStore

    if spec == "etcd":
        files = await tls() if tls is not None else None
        process = await start(data_dir / "etcd", files)
        try:
            store = await EtcdStore.open([process.endpoint], tls=files, restoring=restoring, timeout_s=READING_S)
        except KnarrError:
            await process.stop()
            raise
        return OpenedEtcd(store, process)
    if spec.startswith("etcd://"):
        endpoints = [endpoint for endpoint in spec.removeprefix("etcd://").rstrip("/").split(",") if endpoint]
        if not endpoints or not all(map(is_address, endpoints)):
            raise Invalid(f'--store "{spec}": expected etcd://HOST:PORT,HOST:PORT,…')
        return OpenedEtcd(await EtcdStore.open(endpoints, tls=remote_tls, restoring=restoring))
    raise Invalid(f'--store "{spec}": must be sqlite, etcd or etcd://HOST:PORT,…')
