"""The control plane's process: reads the settings, wires the objects, runs until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import REGISTRY

from knarr_api import kinds
from knarr_api.errors import Internal, KnarrError, Unavailable
from knarr_api.types.coordination_v1 import Lease
from knarr_client.clock import SystemClock
from knarr_client.observing import Check, Observing, only_holders
from knarr_controlplane import acting, controllers, data_directory, health, leader, python_garbage, scheduler
from knarr_controlplane import settings as settings_module
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.background import Background
from knarr_controlplane.backup.snapshot import Origin, snapshot
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.compaction import compact
from knarr_controlplane.controllers.garbage.collector import followed_kinds
from knarr_controlplane.controllers.informers import StandingInformers
from knarr_controlplane.event_loop import ControlPlaneLoop
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
from knarr_controlplane.store.opening import Opened, open_store
from knarr_controlplane.store.protocol import Store
from knarr_controlplane.version import VERSION
from knarr_telemetry import logs, tracing

LEASE = kinds.of(Lease)
READY_FILE = "controlplane.ready"
LOAD_TIMEOUT_S = 60.0
ANY_ADDRESS = frozenset({"0.0.0.0", "[::]", "::"})


def main() -> None:
    """Exit status 1 with one message on standard error when it can't start."""
    try:
        settings = settings_module.parse(sys.argv[1:])
        _prefer_throughput()
        logs.configure(settings.log_level, settings.log_format)
        tracing.start("knarr-controlplane", settings.tracing_endpoint)
        with data_directory.locked(settings.data_dir):
            data_directory.check_restored(settings.data_dir, settings.store)
            with asyncio.Runner(loop_factory=ControlPlaneLoop) as runner:
                runner.run(_run(settings))
    except (KnarrError, OSError, tracing.NotInstalled) as error:
        sys.stderr.write(f"knarr-controlplane: {error}\n")
        raise SystemExit(1) from None
    finally:
        tracing.stop()


def _prefer_throughput() -> None:
    """Of this process and the store it starts: who wakes does not push aside who runs. Where they share processors with
    agents that cost some 4 % of a burst's speed. Who starts it under a policy of its own means that one. Source:
    sched(7), SCHED_BATCH."""
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


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


async def _start(settings: Settings, stack: contextlib.AsyncExitStack) -> Background:
    """All that a control plane is, running; the stack stops it, last first."""
    (settings.data_dir / READY_FILE).unlink(missing_ok=True)
    core = await _core(settings, stack)
    background = core.background
    agents = Agents(
        core.registry, core.hub, now=core.clock.now, heartbeat_s=settings.heartbeat_s, lease_s=settings.node_grace_s
    )
    background.start(agents.run(), "leases")
    checks = health.checks(core.store, core.cache, core.registry, core.hub, core.clock.now)
    await _serve(core, agents, checks, stack)
    server = _write_kubeconfig(core)
    metrics = _observe(core, checks, stack)
    _lead(core)
    _keep_up(core)
    ready = {"pid": os.getpid(), "version": VERSION, "server": server, "metrics": metrics}
    (settings.data_dir / READY_FILE).write_text(json.dumps(ready) + "\n")
    _notify("READY=1")
    structlog.get_logger("knarr").info("ready", server=server, store=settings.store, version=VERSION)
    return background


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """What the other parts of a control plane are made of."""

    settings: Settings
    clock: SystemClock
    authority: Authority
    opened: Opened
    store: Store
    storage: Storage
    cache: WatchCache
    registry: Registry
    hub: AgentHub
    peers: Peers
    background: Background

    @property
    def cluster_id(self) -> str:
        return self.authority.fingerprint[:12]

    @property
    def pki_dir(self) -> Path:
        """Of this process; ``settings.pki`` is the cluster's."""
        return self.settings.data_dir / "pki"


async def _core(settings: Settings, stack: contextlib.AsyncExitStack) -> _Core:
    clock = SystemClock()
    authority = Authority.open(settings.pki, clock.now())
    opened = await _opened(settings, authority, clock)
    stack.push_async_callback(opened.close)
    await store_format.adopt(opened.store)
    store = MeteredStore(opened.store)
    storage = Storage.open(settings.pki / "secrets.key")
    cache = await _filled(WatchCache(store, storage.decode))
    background = await stack.enter_async_context(Background())
    background.start(cache.run(), "cache")
    admission = Admission(eviction_s=settings.eviction_s)
    registry = Registry(store, cache, storage, admission=admission, now=clock.now)
    await registry.make_system_objects()
    peers = Peers(settings.peers, authority, clock.now)
    stack.push_async_callback(peers.close)
    return _Core(
        settings=settings,
        clock=clock,
        authority=authority,
        opened=opened,
        store=store,
        storage=storage,
        cache=cache,
        registry=registry,
        hub=AgentHub(),
        peers=peers,
        background=background,
    )


async def _opened(settings: Settings, authority: Authority, clock: SystemClock) -> Opened:
    async def etcd_tls() -> EtcdTls:
        ca, certificate, key = authority.etcd(clock.now(), settings.data_dir / "pki")
        return EtcdTls(ca=ca, certificate=certificate, key=key)

    remote_tls = EtcdTls.of_directory(settings.pki / "etcd")
    return await open_store(settings.store, settings.data_dir, tls=etcd_tls, remote_tls=remote_tls)


async def _filled(cache: WatchCache) -> WatchCache:
    try:
        async with asyncio.timeout(LOAD_TIMEOUT_S):
            await cache.load()
    except TimeoutError:
        raise Unavailable(f"the store could not be read within {LOAD_TIMEOUT_S:.0f} s: is it overloaded?") from None
    return cache


async def _serve(core: _Core, agents: Agents, checks: Mapping[str, Check], stack: contextlib.AsyncExitStack) -> None:
    settings, authority, now = core.settings, core.authority, core.clock.now
    accounts = AccountAuthority(core.registry, AccountTokens(authority), now)
    services = _services(core, agents, checks, accounts)
    names = {address.rpartition(":")[0] for address in settings.advertise}
    names |= {listener.host for listener in settings.listeners}
    pair = authority.serving(names - ANY_ADDRESS, now(), core.pki_dir)
    serving = Serving(services, settings.listeners, ca=authority.pem, serving=pair, identify=accounts.identify)
    await serving.start()
    stack.push_async_callback(serving.stop)


def _services(core: _Core, agents: Agents, checks: Mapping[str, Check], accounts: AccountAuthority) -> Services:
    settings, authority, now = core.settings, core.authority, core.clock.now
    authorizer = Authorizer(core.cache)
    tokens = Tokens(core.store, authority.fingerprint, now)
    origin = Origin(pki=settings.pki, cluster_id=core.cluster_id, store=settings.store)
    is_connected = core.hub.connections.__contains__
    return Services(
        objects=Objects(core.registry, authorizer),
        pods=Pods(core.registry, authorizer, core.hub, core.peers),
        nodes=Nodes(tokens, authority, authorizer, settings.advertise, now),
        agents=agents,
        cluster=Cluster(
            core.registry,
            authorizer,
            cluster_id=core.cluster_id,
            checks=checks,
            backup=lambda: snapshot(core.store, origin, now()),
            has_agent=is_connected,
            profiles=settings.profiles,
        ),
        history=History(Past(core.store, core.storage, LEASE.key(leader.NAMESPACE, leader.NAME)), authorizer),
        accounts=Accounts(core.registry, authorizer, accounts),
        join=Join(tokens, authority, settings.advertise, now, is_alive=is_connected),
    )


def _write_kubeconfig(core: _Core) -> str:
    """The administrator's, for this machine; says which address is in it."""
    settings = core.settings
    local = next((listener for listener in settings.listeners if not listener.netns), settings.listeners[0])
    server = f"{'127.0.0.1' if local.host in ANY_ADDRESS else local.host}:{local.port}"
    kubeconfig.write(
        settings.data_dir / "admin.kubeconfig",
        servers=(server, *settings.peers),
        ca_pem=core.authority.pem,
        user=ADMIN[0],
        credentials=core.authority.admin(core.clock.now()),
    )
    return server


def _observe(core: _Core, checks: Mapping[str, Check], stack: contextlib.AsyncExitStack) -> str:
    """Metrics and health over HTTP; says where, or nothing where they are not wanted."""
    at = core.settings.metrics
    if at is None:
        return ""
    stored = StoredObjects(core.cache)
    REGISTRY.register(stored)
    stack.callback(REGISTRY.unregister, stored)
    tls = only_holders(core.pki_dir / "server.crt", core.pki_dir / "server.key", core.authority.pem)
    observing = Observing(at, checks, tls)
    stack.callback(observing.stop)
    return f"{at.host}:{observing.port}"


def _lead(core: _Core) -> None:
    """Schedule and control whenever this control plane leads."""
    settings, clock = core.settings, core.clock
    client = LocalClient(core.registry)
    identity = f"{os.uname().nodename}-{os.getpid()}"
    standing = StandingInformers(client, clock, followed_kinds())
    core.background.start(standing.run(), "informers")
    scheduling = scheduler.SchedulerSettings(profiles=settings.profiles)
    controlling = controllers.ControllerSettings(
        node_grace_s=settings.node_grace_s, cluster_cidr=settings.cluster_cidr, ca_pem=core.authority.pem.decode()
    )

    async def act(term: leader.Term) -> None:
        fenced = client.fenced(term)
        await acting.act(fenced, clock, identity, standing=standing, scheduling=scheduling, controlling=controlling)

    # What a term has built is full of cycles, through the exceptions that ended its tasks.
    leading = leader.lead(client, clock, leader.NAME, identity, act, afterwards=gc.collect, keeper=core.opened.keeper)
    core.background.start(leading, "leader")


def _keep_up(core: _Core) -> None:
    """What goes on whether it leads or not."""

    def told(node: str, usage: Any, age_s: float) -> None:
        if node not in core.hub.connections:
            core.registry.usages.report(node, usage, age_s=age_s)

    start, opened = core.background.start, core.opened
    start(core.peers.follow_usages(told), "usages of other control planes")
    start(store_format.watch(opened.store), "format of the store")
    if opened.upkeep is not None:
        start(opened.upkeep(), "upkeep of the store")
    start(compact(core.store, core.cache, core.settings.retention_s), "compaction")
    python_garbage.configure()
    start(python_garbage.collect(), "garbage")


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
