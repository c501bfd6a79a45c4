"""Service Builds: takes the context in, runs the build, streams its output. A client that goes away ends its build."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from knarr_runtime.build.cache import Cache
from knarr_runtime.build.images import Images
from knarr_runtime.build.running import Runner
from knarr_runtime.build.threads import in_thread
from knarr_runtime.cri.calls import streaming
from knarr_runtime.errors import Invalid, KernelRefused
from knarr_runtime.images.registry import credentials
from knarr_runtime.kernel import paths

if TYPE_CHECKING:
    from knarr_runtime.build.building import Build, Puller, Request

MAX_CONTEXT_BYTES = 8 << 30
MAX_CONTEXT_ENTRIES = 500_000
MAX_BUILDS = 4
CLOSE_S = 10.0
MAX_WAITING_LINES = 1000
MAX_DOCKERFILE_BYTES = 1 << 20


class Builds(images_pb2_grpc.BuildsServicer):
    """Builds that come at once share the cache; at most four run, the others wait."""

    def __init__(self, store: Images, cache: Cache, runner: Runner, pull: Puller) -> None:
        self._store = store
        self._cache = cache
        self._runner = runner
        self._pull = pull
        self._slots = asyncio.Semaphore(MAX_BUILDS)
        self._running = 0
        self._trimming = asyncio.Lock()
        self._tasks: set[asyncio.Task[str]] = set()
        self._locks: dict[str, asyncio.Lock] = {}

    @streaming
    async def Build(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("start"):
            raise Invalid("the first message of a build must have its start")
        async with self._slots:
            await self._begin()
            try:
                async with self._workspace() as workspace:
                    async for answer in self._build(first, requests, workspace):
                        yield answer
            except OSError as error:
                raise KernelRefused(f"build: {error}") from error
            finally:
                self._running -= 1

    async def _begin(self) -> None:
        """The cache is trimmed while nobody builds; who comes meanwhile waits."""
        async with self._trimming:
            if not self._running:
                await in_thread(self._cache.trim)
            self._running += 1

    async def close(self) -> None:
        """Ends all builds and their programs, which nobody would wait for; containers of pods go on."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_S)

    async def prune(self) -> int:
        """Empties the cache unless a build runs; returns the bytes freed."""
        async with self._trimming:
            return await in_thread(self._cache.trim, 0) if not self._running else 0

    @contextlib.asynccontextmanager
    async def _workspace(self) -> AsyncIterator[Path]:
        path = await in_thread(self._cache.new_workspace)
        try:
            yield path
        finally:
            await in_thread(shutil.rmtree, path, ignore_errors=True)

    async def _build(self, first: Any, requests: AsyncIterator[Any], workspace: Path) -> AsyncIterator[Any]:
        directory = await self._take_in(first, requests, workspace)
        request = await in_thread(_request, first.start, directory)
        output = _Output()
        from knarr_runtime.build.building import Build  # 4 MB that a daemon takes with its first build only

        with self._store.lease() as hold:
            build = Build(
                request,
                store=self._store,
                hold=hold,
                cache=self._cache,
                runner=self._runner,
                pull=self._pull,
                output=output,
                progress=output.transfer,
                workspace=workspace,
                locks=self._locks,
            )
            output.build = build
            task = asyncio.create_task(build.run(), name="build")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: output.queue.put_nowait(None))
            try:
                while (answer := await output.next()) is not None:
                    yield answer
                yield images_pb2.BuildResponse(image_id=await task, step=output.step, steps=build.step_count)
            finally:
                build.cancel()
                task.cancel()
                await asyncio.wait((task,))
                if not task.cancelled() and (error := task.exception()) is not None:
                    structlog.get_logger("knarr.build").info("build failed", error=str(error))

    async def _take_in(self, first: Any, requests: AsyncIterator[Any], workspace: Path) -> Path:
        """The context, unpacked. Raises Invalid."""
        archive, directory = workspace / "context.tar", workspace / "context"
        directory.mkdir(mode=0o755)
        size = 0
        with open(archive, "wb") as file:
            parts = [first.context] if first.context else []
            async for part in _joined(parts, requests):
                size += len(part)
                if size > MAX_CONTEXT_BYTES:
                    raise Invalid(
                        f"the build context has more than {MAX_CONTEXT_BYTES} bytes: leave out with .dockerignore"
                    )
                await in_thread(file.write, part)
        if size:
            await in_thread(_unpack, archive, directory)
        archive.unlink()
        return directory


async def _joined(parts: list[bytes], requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    async for request in requests:
        if request.HasField("start"):
            raise Invalid("a build has one start")
        yield request.context


def _unpack(archive: Path, directory: Path) -> None:
    from knarr_runtime.build import untar

    limits = untar.Limits(max_bytes=MAX_CONTEXT_BYTES, max_entries=MAX_CONTEXT_ENTRIES)
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(archive, "rb") as file:
            if untar.is_empty(file):
                return
            reader = untar.decompressed(file)
            if reader is None:
                raise Invalid("the build context is no tar archive")
            untar.extract(reader, root, limits=limits, owner=(0, 0))
    finally:
        os.close(root)


def _request(start: Any, context: Path) -> Request:
    name = start.dockerfile or "Dockerfile"
    text = start.dockerfile_text
    if not text:
        text = _read_inside(context, name)
    from knarr_runtime.build.building import Request

    return Request(
        dockerfile=text,
        dockerfile_name=name,
        context=context,
        tags=tuple(start.tags),
        target=start.target,
        platform=start.platform,
        args=dict(start.args),
        labels=dict(start.labels),
        secrets=dict(start.secrets),
        no_cache=start.no_cache,
        pull=start.pull,
        credentials={registry: credentials.of_message(auth) for registry, auth in start.auths.items()},
    )


def _read_inside(context: Path, name: str) -> bytes:
    root = os.open(context, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = paths.open_inside(root, "/" + name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise Invalid(f"failed to read dockerfile: open {name}: {error.strerror}") from None
    finally:
        os.close(root)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_DOCKERFILE_BYTES + 1)


class _Output:
    """What goes to the client; a build whose client reads slowly waits."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.build: Build | None = None
        self.step = 0
        self._room = asyncio.Semaphore(MAX_WAITING_LINES)
        self._loop = asyncio.get_running_loop()

    def begin(self, step: int) -> None:
        self.step = step

    async def line(self, text: str) -> None:
        steps = self.build.step_count if self.build is not None else 0
        await self._room.acquire()
        line = text.encode("utf-8", "replace").decode()  # names of files may be no text
        self.queue.put_nowait(images_pb2.BuildResponse(line=line, step=self.step, steps=steps))

    async def next(self) -> Any:
        """None at the end."""
        message = await self.queue.get()
        if message is not None and not message.HasField("transfer"):
            self._room.release()
        return message

    def transfer(self, identifier: str, status: str, current: int, total: int) -> None:
        """Called on threads; dropped where the client does not keep up."""
        message = images_pb2.BuildResponse(
            step=self.step,
            transfer=images_pb2.TransferProgress(
                id=identifier, status=status, current_bytes=current, total_bytes=total
            ),
        )
        self._loop.call_soon_threadsafe(self._offer, message)

    def _offer(self, message: Any) -> None:
        if self.queue.qsize() < MAX_WAITING_LINES:
            self.queue.put_nowait(message)
