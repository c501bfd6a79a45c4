"""Containers: created, started, signalled, stopped, awaited, removed; their limits, figures and logs."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from knarr_runtime import layout, remains, start_request
from knarr_runtime.errors import (
    AlreadyExists,
    Invalid,
    KernelRefused,
    RuntimeFailure,
    StartFailed,
    Unavailable,
    WrongState,
)
from knarr_runtime.kernel import process
from knarr_runtime.launcher.cgroups import PodCgroups
from knarr_runtime.launcher.exits import Exits
from knarr_runtime.launcher.table import ContainerEntry, SandboxEntry, Table
from knarr_runtime.launcher.values import Container, ContainerState, Exit, Started, Stats
from knarr_runtime.launcher.work import Work
from knarr_runtime.node import Node
from knarr_runtime.spec import ContainerSpec, Resources
from knarr_runtime.start_request import StartRequest


class Containers:
    def __init__(
        self,
        table: Table,
        node: Node,
        work: Work,
        cgroups: PodCgroups,
        exits: Exits,
        filters: start_request.Filters,
        timeout_s: float,
    ) -> None:
        self._table = table
        self._node = node
        self._work = work
        self._cgroups = cgroups
        self._exits = exits
        self._filters = filters
        self._timeout_s = timeout_s

    async def create(self, spec: ContainerSpec) -> Container:
        """Checks the spec, makes its cgroup with limits and its state on disk. Raises AlreadyExists, NotFound."""
        sandbox = self._table.sandbox(spec.sandbox_id)
        self._table.shim(spec.sandbox_id)
        if spec.id in self._table.containers:
            raise AlreadyExists(f"container {spec.id!r} exists already")
        start_request.check(spec, sandbox.value.spec)
        users = await self._users_of(sandbox)
        value = Container(spec=spec, state=ContainerState.CREATED, created_at_ns=time.time_ns())
        directory = f"{sandbox.directory}/{layout.CONTAINERS}/{spec.id}"
        container = self._table.containers[spec.id] = ContainerEntry(value, directory)
        loop = asyncio.get_running_loop()
        soon = functools.partial(loop.call_soon_threadsafe, self._expect, spec)
        making = asyncio.ensure_future(self._work.in_thread(self._make, value, directory, soon, users))
        try:
            container.request = await asyncio.shield(making)
        except BaseException:
            del self._table.containers[spec.id]
            self._work.spawn(self._undo(spec, directory, making))
            raise
        if spec.log_path and self._node.logs is not None:
            with contextlib.suppress(Unavailable):  # its successor finds the container on the disk
                self._node.logs.notify("follow", sandbox=spec.sandbox_id, container=spec.id)
        return value

    async def _users_of(self, sandbox: SandboxEntry) -> int | None:
        """A descriptor, the caller's to close, of the pod's user namespace if it has one of its own."""
        if not sandbox.value.spec.uids:
            return None
        shim = self._table.shim(sandbox.value.spec.id)
        _, received = await shim.request_descriptors("user_namespace", timeout_s=self._timeout_s)
        if not received:
            raise Unavailable("the shim sent no user namespace")
        return received[0]

    def _make(
        self, value: Container, directory: str, placed: Callable[[], object], users: int | None
    ) -> StartRequest | None:
        """All of create that can block, in one go: threads that take turns cost more than they save.

        placed: called when a process of the container could be made. users: closed here.
        """
        try:
            return self._make_all(value, directory, placed, users)
        finally:
            if users is not None:
                os.close(users)

    def _make_all(
        self, value: Container, directory: str, placed: Callable[[], object], users: int | None
    ) -> StartRequest | None:
        spec = value.spec
        devices = start_request.device_rules(spec)
        self._cgroups.create(spec.cgroup, spec.resources, devices)
        placed()
        text = json.dumps(spec.to_json(), separators=(",", ":"))
        os.mkdir(directory, 0o700)
        self._prepare(value, directory, text)
        root = start_request.open_root(spec) if users is None else None
        with contextlib.suppress(Invalid, KernelRefused):  # what is missing now may be there when it starts
            return start_request.make(spec, self._filters, root, text, users)
        return None

    def _expect(self, spec: ContainerSpec) -> None:
        """Tells the shim that it will be started soon. Nothing depends on it but the time that takes."""
        if spec.id in self._table.containers:
            with contextlib.suppress(RuntimeFailure):
                self._table.shim(spec.sandbox_id).notify("expect", spec=start_request.header(spec))

    def _prepare(self, value: Container, directory: str, text: str) -> None:
        spec = value.spec
        names = [layout.STDIN] if spec.stdin else []
        if spec.log_path:
            names += [layout.STDOUT, layout.STDERR, layout.STAGED]
            os.makedirs(os.path.dirname(spec.log_path), 0o755, exist_ok=True)
        for name in names:
            os.mkfifo(f"{directory}/{name}", 0o600)
        layout.write_text(directory, layout.CONTAINER_SPEC, f'{{"spec":{text},"created_at_ns":{value.created_at_ns}}}')

    async def _undo(self, spec: ContainerSpec, directory: str, making: asyncio.Future[StartRequest | None]) -> None:
        with contextlib.suppress(RuntimeFailure, OSError):
            request = await making
            if request is not None:
                request.close()
        with contextlib.suppress(RuntimeFailure):
            timeout_s = self._timeout_s
            await self._table.shim(spec.sandbox_id).request("release", container=spec.id, timeout_s=timeout_s)
        with contextlib.suppress(RuntimeFailure):
            await self._cgroups.remove(spec.cgroup)
        await self._work.in_thread(remains.clear, directory)

    async def start(self, container_id: str) -> Started:
        """Starts the program; returns when it has been executed. Raises StartFailed, WrongState, NotFound."""
        container = self._table.container(container_id)
        async with container.lock:
            spec = container.value.spec
            if container.value.state is not ContainerState.CREATED:
                raise WrongState(f"container {container_id!r} is {container.value.state.value}, not created")
            shim = self._table.shim(spec.sandbox_id)
            try:
                request, container.request = container.request, None
                if request is None:
                    request = await self._request(spec)
                try:
                    reply = await shim.request(
                        "start",
                        spec=request.header,
                        descriptors=request.descriptors,
                        body=request.body,
                        timeout_s=self._timeout_s,
                    )
                finally:
                    request.close()
            except (StartFailed, KernelRefused, Invalid, RuntimeFailure) as error:
                raise await self._exits.start_failed(container, error) from error
            started = Started(pid=int(reply["pid"]), started_at_ns=int(reply["started_at_ns"]))
            ended = container.exited.is_set()  # its exit may have come right behind the reply
            container.value = replace(
                container.value,
                state=ContainerState.EXITED if ended else ContainerState.RUNNING,
                pid=started.pid,
                start_time=int(reply["start_time"]),
                started_at_ns=started.started_at_ns,
            )
            container.started.set()
            return started

    async def _request(self, spec: ContainerSpec) -> StartRequest:
        users = await self._users_of(self._table.sandbox(spec.sandbox_id))
        try:
            text = json.dumps(spec.to_json())
            return await self._work.in_thread(start_request.make, spec, self._filters, None, text, users)
        finally:
            if users is not None:
                os.close(users)

    async def signal(self, container_id: str, signum: int) -> None:
        """Signals the container's first process. Nothing happens if it has exited."""
        container = self._table.container(container_id)
        if container.value.state is not ContainerState.RUNNING:
            return
        shim = self._table.shim(container.value.spec.sandbox_id)
        await shim.request("signal", container=container_id, signum=signum, timeout_s=self._timeout_s)

    async def stop(self, container_id: str, timeout_s: float) -> Exit:
        """Its stop signal, after ``timeout_s`` SIGKILL to everything in it; returns when it has exited.

        Idempotent. timeout_s 0 kills at once. A container never started becomes EXITED with code 137.
        """
        container = self._table.container(container_id)
        if container.value.state is ContainerState.CREATED:
            async with container.lock:  # a start under way finishes first
                if container.value.state is ContainerState.CREATED:
                    await self._exits.start_failed(container, StartFailed("stopped before it was started", 137))
        if container.value.state is ContainerState.RUNNING and timeout_s > 0:
            await self.signal(container_id, signal_number(container.value.spec.stop_signal))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await container.exited.wait()
        if container.value.state is ContainerState.RUNNING:
            await self._kill(container)
        assert container.value.exit is not None
        return container.value.exit

    async def wait(self, container_id: str) -> Exit:
        """Its end, once it has come and its log is complete. Raises NotFound."""
        container = self._table.container(container_id)
        await container.exited.wait()
        await container.told.wait()
        assert container.value.exit is not None
        return container.value.exit

    async def _kill(self, container: ContainerEntry) -> None:
        spec = container.value.spec
        shim = self._table.sandbox(spec.sandbox_id).shim
        if shim is not None:
            with contextlib.suppress(Unavailable):  # its shim has ended, and with it the container
                await shim.request("kill", container=spec.id, timeout_s=self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                await container.exited.wait()
        except TimeoutError as error:
            raise Unavailable(f"container {spec.id!r} does not end, even killed") from error

    async def remove(self, container_id: str) -> None:
        """Kills it if it runs, waits for its log, removes cgroup and state. Idempotent. Leaves upper and work alone."""
        container = self._table.containers.get(container_id)
        if container is None:
            return
        if container.value.state is ContainerState.RUNNING:
            await self._kill(container)
        async with container.lock:
            if container_id not in self._table.containers:
                return
            container.close_request()
            await self._exits.end_log(container)
            await container.told.wait()
            spec = container.value.spec
            shim = self._table.sandbox(spec.sandbox_id).shim
            if shim is not None:
                with contextlib.suppress(Unavailable):
                    await shim.request("release", container=container_id, timeout_s=self._timeout_s)
            if not await self._work.in_thread(self._remove_what_it_left, spec.cgroup, container.directory):
                await self._cgroups.remove(spec.cgroup)
                await self._work.in_thread(remains.clear, container.directory)
            self._table.containers.pop(container_id, None)

    def _remove_what_it_left(self, cgroup: str, directory: str) -> bool:
        """In one go; False if processes are dying in its cgroup still."""
        if cgroup and not self._node.cgroups.remove(cgroup):
            return False
        remains.clear(directory)
        return True

    async def stats(self, container_id: str) -> Stats:
        return await self._cgroups.stats(self._table.container(container_id).value.spec.cgroup)

    async def update_resources(
        self, container_id: str, resources: Resources, *, oom_score_adj: int | None = None
    ) -> None:
        """Writes the limits that are set in ``resources``; the others stay. oom_score_adj: for what runs now."""
        container = self._table.container(container_id)
        async with container.lock:
            spec = container.value.spec
            if not spec.cgroup:
                raise Invalid(f"container {container_id!r} has no cgroup of its own")
            await self._cgroups.update(spec.cgroup, resources)
            if oom_score_adj is not None:
                for pid in await self._cgroups.processes(spec.cgroup):
                    process.adjust_oom_score(pid, oom_score_adj)
                spec = replace(spec, oom_score_adj=oom_score_adj)
            changed = {name: value for name, value in asdict(resources).items() if value}
            changed["unified"] = {**spec.resources.unified, **resources.unified}
            spec = replace(spec, resources=replace(spec.resources, **changed))
            container.value = replace(container.value, spec=spec)
            record = {"spec": spec.to_json(), "created_at_ns": container.value.created_at_ns}
            layout.write(container.directory, layout.CONTAINER_SPEC, record)

    async def open_root(self, container_id: str) -> int:
        """A descriptor of its root, to be closed: while it runs what it sees, else image and writable layer.

        Nobody may start it while this is open, unless it was only created and not started: that start uses the same.
        """
        container = self._table.container(container_id)
        value = container.value
        if value.state is ContainerState.RUNNING:
            root = os.open(f"/proc/{value.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            if not process.is_same(value.pid, value.start_time):
                os.close(root)
                raise WrongState(f"container {container_id!r} has just ended")
            return root
        if container.request is not None and container.request.root >= 0:
            return os.dup(container.request.root)
        return await self._work.in_thread(start_request.open_root_here, value.spec)

    async def freeze(self, container_id: str, *, frozen: bool) -> None:
        """Stops all its processes where they are, or lets them go on; returns when they have stopped."""
        await self._cgroups.freeze(self._table.container(container_id).value.spec.cgroup, frozen=frozen)

    def frozen(self, container_id: str) -> bool:
        container = self._table.container(container_id).value
        running = container.state is ContainerState.RUNNING and bool(container.spec.cgroup)
        return running and self._node.cgroups.frozen(container.spec.cgroup)

    async def reopen_log(self, container_id: str) -> None:
        """Makes the log reader open ``log_path`` anew (after it was renamed); returns when it has."""
        spec = self._table.container(container_id).value.spec
        if self._node.logs is None:
            raise Unavailable("the log reader is being restarted")
        await self._node.logs.request("reopen", sandbox=spec.sandbox_id, container=spec.id, timeout_s=self._timeout_s)


def signal_number(name: str) -> int:
    """Of ``SIGTERM``, ``TERM``, ``15`` or ``SIGRTMIN+3``. Raises Invalid."""
    text = name.upper().removeprefix("SIG")
    if text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    base, plus, offset = text.partition("+")
    found = getattr(signal, f"SIG{base}", None)
    if not isinstance(found, int) or (plus and not offset.isdigit()):
        raise Invalid(f"signal {name!r} is unknown")
    return int(found) + (int(offset) if plus else 0)
