"""The control plane's process: reads the settings, wires the objects, runs until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Coroutine
from typing import Any

import structlog
from prometheus_client import REGISTRY

from knarr_api import kinds
from knarr_api.errors import Internal, KnarrError, Unavailable
from knarr_api.types.coordination_v1 import Lease
from knarr_client.clock import SystemClock
from knarr_client.observing import Observing, only_holders
from knarr_controlplane import acting, controllers, data_directory, leader, scheduler
from knarr_controlplane import settings as settings_module
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.backup.snapshot import Origin, snapshot
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.controllers.garbage.collector import followed_kinds
from knarr_controlplane.controllers.informers import StandingInformers
from knarr_controlplane.metrics import MeteredStore, StoredObjects
from knarr_controlplane.pki import kubeconfig
from knarr_controlplane.pki.account_tokens import AccountTokens
from knarr_controlplane.pki.authority import ADMIN, Authority
from knarr_controlplane.pki.tokens import Tokens
from knarr_controlplane.registry.local_client import LocalClient
from knarr_controlplane.registry.past import Past
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.server.accounts import AccountAuthority, Accounts
from knarr_controlplane.server.agents import Agents
from knarr_controlplane.server.cluster import Cluster
from knarr_controlplane.server.history import History
from knarr_controlplane.server.hub import AgentHub
from knarr_controlplane.server.nodes import Join, Nodes
from knarr_controlplane.server.objects import Objects
from knarr_controlplane.server.peers import Peers
from knarr_controlplane.server.pods import Pods
from knarr_controlplane.server.serving import Services, Serving
from knarr_controlplane.settings import Settings
from knarr_controlplane.store import format as store_format
from knarr_controlplane.store.etcd_process import EtcdTls
from knarr_controlplane.store.opening import open_store
from knarr_controlplane.store.protocol import Store
from knarr_controlplane.version import VERSION
from knarr_telemetry import logs, tracing

LEADER = "knarr-controller-manager"
LEADER_SILENT_S = 10.0
READY_FILE = "controlplane.ready"
COMPACTION_INTERVAL_S = 30.0
HEALTH_TIMEOUT_S = 2.0
LOAD_TIMEOUT_S = 60.0
GC_THRESHOLDS = (100_000, 50, 1000)
"""Objects have few cycles: looking for some as often as Python does costs a tenth of the time of every write."""
YOUNG_S, OLDER = 1.0, 5
"""Python looks when there are so many more objects than before. Where as many go as come, as with heartbeats, new ones
pile up meanwhile, and looking at all of them takes up to 0.2 s in which nothing else is done. So they are looked at all
the time, and every so many times those that were new then."""


def main() -> None:
    """Exit status 1 with one message on standard error when it can't start."""
    try:
        settings = settings_module.parse(sys.argv[1:])
        logs.configure(settings.log_level, settings.log_format)
        tracing.start("knarr-controlplane", settings.tracing_endpoint)
        with data_directory.locked(settings.data_dir):
            data_directory.check_restored(settings.data_dir, settings.store)
            asyncio.run(_run(settings))
    except (KnarrError, OSError, tracing.NotInstalled) as error:
        sys.stderr.write(f"knarr-controlplane: {error}\n")
        raise SystemExit(1) from None
    finally:
        tracing.stop()


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        background = await _start(settings, stack)
        await stopped.wait()
        _notify("STOPPING=1")
        structlog.get_logger("knarr").info("stopping")
    if background.failed:
        raise Internal("a part of it has ended; its log says why")


async def _start(settings: Settings, stack: contextlib.AsyncExitStack) -> _Background:
    log = structlog.get_logger("knarr")
    clock = SystemClock()
    data_dir = settings.data_dir
    (data_dir / READY_FILE).unlink(missing_ok=True)
    authority = Authority.open(settings.pki, clock.now())

    async def etcd_tls() -> EtcdTls:
        ca, certificate, key = authority.etcd(clock.now(), data_dir / "pki")
        return EtcdTls(ca=ca, certificate=certificate, key=key)

    remote_tls = EtcdTls.of_directory(settings.pki / "etcd")
    opened = await open_store(settings.store, data_dir, tls=etcd_tls, remote_tls=remote_tls)
    stack.push_async_callback(opened.close)
    await store_format.adopt(opened.store)
    store = MeteredStore(opened.store)
    storage = Storage.open(settings.pki / "secrets.key")
    cache = WatchCache(store, storage.decode)
    try:
        async with asyncio.timeout(LOAD_TIMEOUT_S):
            await cache.load()
    except TimeoutError:
        raise Unavailable(f"the store could not be read within {LOAD_TIMEOUT_S:.0f} s: is it overloaded?") from None
    background = await stack.enter_async_context(_Background())
    background.start(cache.run(), "cache")
    admission = Admission(eviction_s=settings.eviction_s)
    registry = Registry(store, cache, storage, admission=admission, now=clock.now)
    await registry.make_system_objects()
    authorizer = Authorizer(cache)
    hub = AgentHub()
    peers = Peers(settings.peers, authority, clock.now)
    stack.push_async_callback(peers.close)
    tokens = Tokens(store, authority.fingerprint, clock.now)

    async def store_health() -> str:
        return f"at revision {await store.revision()}"

    async def cache_health() -> str:
        await cache.catch_up(timeout_s=HEALTH_TIMEOUT_S)
        return f"at revision {cache.revision}"

    async def leader_health() -> str:
        lease: Lease = registry.get(kinds.of(Lease), leader.NAMESPACE, LEADER).value()
        since = lease.spec.renew_time
        if not lease.spec.holder_identity or since is None or (clock.now() - since).total_seconds() > LEADER_SILENT_S:
            raise Unavailable("no control plane leads: nothing is scheduled or controlled")
        return f"{lease.spec.holder_identity} leads"

    async def agents_health() -> str:
        return f"{len(hub.connections)} connected"

    origin = Origin(pki=settings.pki, cluster_id=authority.fingerprint[:12], store=settings.store)
    checks = {"store": store_health, "cache": cache_health, "leader": leader_health, "agents": agents_health}
    agents = Agents(registry, hub, now=clock.now, heartbeat_s=settings.heartbeat_s, lease_s=settings.node_grace_s)
    account_authority = AccountAuthority(registry, AccountTokens(authority), clock.now)
    services = Services(
        objects=Objects(registry, authorizer),
        pods=Pods(registry, authorizer, hub, peers),
        nodes=Nodes(tokens, authority, authorizer, settings.advertise, clock.now),
        agents=agents,
        cluster=Cluster(
            registry,
            authorizer,
            cluster_id=authority.fingerprint[:12],
            checks=checks,
            backup=lambda: snapshot(store, origin, clock.now()),
            has_agent=hub.connections.__contains__,
            profiles=settings.profiles,
        ),
        history=History(Past(store, storage, kinds.of(Lease).key(leader.NAMESPACE, LEADER)), authorizer),
        accounts=Accounts(registry, authorizer, account_authority),
        join=Join(tokens, authority, settings.advertise, clock.now, is_alive=hub.connections.__contains__),
    )
    background.start(agents.run(), "leases")
    names = {address.rpartition(":")[0] for address in settings.advertise} | {
        listener.host for listener in settings.listeners
    }
    names -= {"0.0.0.0", "[::]", "::"}
    pair = authority.serving(names, clock.now(), data_dir / "pki")
    serving = Serving(services, settings.listeners, ca=authority.pem, serving=pair, identify=account_authority.identify)
    await serving.start()
    stack.push_async_callback(serving.stop)
    local = next((listener for listener in settings.listeners if not listener.netns), settings.listeners[0])
    host = "127.0.0.1" if local.host in ("0.0.0.0", "[::]") else local.host
    kubeconfig.write(
        data_dir / "admin.kubeconfig",
        servers=(f"{host}:{local.port}", *settings.peers),
        ca_pem=authority.pem,
        user=ADMIN[0],
        credentials=authority.admin(clock.now()),
    )
    metrics_address = ""
    if settings.metrics is not None:
        stored = StoredObjects(cache)
        REGISTRY.register(stored)
        stack.callback(REGISTRY.unregister, stored)
        tls = only_holders(data_dir / "pki/server.crt", data_dir / "pki/server.key", authority.pem)
        observing = Observing(settings.metrics, checks, tls)
        stack.callback(observing.stop)
        metrics_address = f"{settings.metrics.host}:{observing.port}"
    client = LocalClient(registry)
    identity = f"{os.uname().nodename}-{os.getpid()}"
    standing = StandingInformers(client, clock, followed_kinds())
    background.start(standing.run(), "informers")

    async def act(term: leader.Term) -> None:
        controller_settings = controllers.ControllerSettings(
            node_grace_s=settings.node_grace_s, cluster_cidr=settings.cluster_cidr, ca_pem=authority.pem.decode()
        )
        scheduling = scheduler.SchedulerSettings(profiles=settings.profiles)
        await acting.act(
            client.fenced(term),
            clock,
            identity,
            standing=standing,
            scheduling=scheduling,
            controlling=controller_settings,
        )

    # What a term has built is full of cycles, through the exceptions that ended its tasks.
    leading = leader.lead(client, clock, LEADER, identity, act, afterwards=gc.collect, keeper=opened.keeper)
    background.start(leading, "leader")

    def told(node: str, usage: Any, age_s: float) -> None:
        if node not in hub.connections:
            registry.usages.report(node, usage, age_s=age_s)

    background.start(peers.follow_usages(told), "usages of other control planes")
    background.start(store_format.watch(opened.store), "format of the store")
    if opened.upkeep is not None:
        background.start(opened.upkeep(), "upkeep of the store")
    background.start(_compact(store, cache, settings.retention_s), "compaction")
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    background.start(_collect_young(), "garbage")
    ready = {"pid": os.getpid(), "version": VERSION, "server": f"{host}:{local.port}", "metrics": metrics_address}
    (data_dir / READY_FILE).write_text(json.dumps(ready) + "\n")
    _notify("READY=1")
    log.info("ready", server=ready["server"], store=settings.store, version=VERSION)
    return background


class _Background:
    """Tasks that live as long as the process; one that ends before ends it. They are stopped last first."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = False

    def start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    async def __aenter__(self) -> _Background:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in reversed(self._tasks):
            task.remove_done_callback(self._ended)
            task.cancel()
            await asyncio.wait({task})

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        log = structlog.get_logger("knarr")
        log.error("a part of the control plane has ended", part=task.get_name(), exc_info=task.exception())
        self.failed = True
        os.kill(os.getpid(), signal.SIGTERM)


async def _compact(store: Store, cache: WatchCache, retention_s: float) -> None:
    """Forget revisions older than the retention, by looking at the store's revision now and then."""
    log = structlog.get_logger("knarr")
    seen: deque[tuple[float, int]] = deque()
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(COMPACTION_INTERVAL_S, retention_s))
        try:
            seen.append((loop.time(), await store.revision()))
            old = 0
            while seen and seen[0][0] <= loop.time() - retention_s:
                old = seen.popleft()[1]
            if old:
                cache.forget(old)
                await store.compact(old)
        except KnarrError as error:
            log.warning("compaction failed", error=str(error))


async def _collect_young() -> None:
    for number in itertools.count(1):
        await asyncio.sleep(YOUNG_S)
        gc.collect(1 if number % OLDER == 0 else 0)


def _notify(state: str) -> None:
    """Tell the service manager, if there is one. Source: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    target = "\0" + address[1:] if address[0] == "@" else address
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_UNIX, kind) as notifications, contextlib.suppress(OSError):
        notifications.sendto(state.encode(), target)


if __name__ == "__main__":
    main()
