"""The daemon: wires images, network and launcher, and serves CRI on a unix socket. It never forks and never enters a
namespace; killed and started again it finds everything as it was."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import structlog

from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import containers_pb2_grpc, images_pb2_grpc
from knarr_runtime import apparmor
from knarr_runtime.build.cache import Cache
from knarr_runtime.build.images import PackedImages, Progress
from knarr_runtime.build.running import ContainerRunner
from knarr_runtime.build.service import Builds
from knarr_runtime.cri.image_collection import ImageCollection
from knarr_runtime.cri.image_service import ImageService
from knarr_runtime.cri.own_images import Images
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import Records
from knarr_runtime.cri.runtime_service import RuntimeService
from knarr_runtime.cri.streams import Streams
from knarr_runtime.cri.transfers import Transfers
from knarr_runtime.errors import Unavailable
from knarr_runtime.images.registry.client import Pulled, Registry
from knarr_runtime.images.registry.credentials import Credentials
from knarr_runtime.images.store import Image, ImageStore
from knarr_runtime.launcher import Launcher, LauncherSettings
from knarr_runtime.network.pod_network import PodNetwork
from knarr_runtime.settings import Settings
from knarr_runtime.standalone.commits import Commits
from knarr_runtime.standalone.copying import Copying
from knarr_runtime.standalone.endings import Endings
from knarr_runtime.standalone.removal import Removal
from knarr_runtime.standalone.renewal import Renewal
from knarr_runtime.standalone.service import ContainersService
from knarr_runtime.standalone.volumes import Volumes
from knarr_runtime.standalone.volumes_service import VolumesService
from knarr_runtime.streaming.server import StreamingSettings

OPTIONS = (("grpc.max_receive_message_length", 16 << 20), ("grpc.so_reuseport", 0))
GRACE_S = 0.5


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT; containers go on. Raises Unavailable when another daemon has the root."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with _locked(settings.root):
        launcher = Launcher(LauncherSettings(state_dir=settings.root / "state", cgroup_root=settings.cgroup_root))
        await launcher.start()
        unconfined = await asyncio.to_thread(apparmor.prepare)
        images = await asyncio.to_thread(ImageStore, settings.root / "images")
        network = PodNetwork(settings.root / "network", settings.pod_cidr)
        pods = Pods(launcher, images, Records(settings.root / "pods"), network, settings.cdi_directories)
        await pods.recover()
        volumes = await asyncio.to_thread(Volumes, settings.root / "volumes", images)
        renewal, removal = Renewal(pods, launcher), Removal(pods, volumes)
        endings = Endings(pods, renewal, removal)
        background = [
            asyncio.create_task(pods.follow_exits(), name="exits"),
            asyncio.create_task(endings.follow(), name="endings"),
        ]
        streams = Streams(pods, launcher, StreamingSettings(address=settings.streaming_address))
        await streams.server.start()
        cache = await asyncio.to_thread(Cache, settings.root / "build")
        packed = PackedImages(images, cache)
        transfers = Transfers(Registry(images, settings.registries))

        def in_use() -> set[str]:
            return pods.images_in_use() | packed.images_in_use()

        collection = ImageCollection(images, in_use, settings.image_gc)
        background.append(asyncio.create_task(collection.follow(), name="image collection"))
        server = grpc.aio.server(options=OPTIONS)
        api_pb2_grpc.add_RuntimeServiceServicer_to_server(RuntimeService(pods, launcher, streams), server)
        api_pb2_grpc.add_ImageServiceServicer_to_server(
            ImageService(images, pods, packed.images_in_use, transfers), server
        )
        own = ContainersService(
            pods,
            launcher,
            streams,
            images,
            renewal=renewal,
            removal=removal,
            endings=endings,
            copying=Copying(pods, launcher, settings.root / "copies"),
            commits=Commits(pods, packed, cache),
        )
        containers_pb2_grpc.add_ContainersServicer_to_server(own, server)
        containers_pb2_grpc.add_VolumesServicer_to_server(VolumesService(volumes, pods), server)
        builds = Builds(packed, cache, ContainerRunner(launcher, network), pull=_BuildPulls(transfers))
        images_pb2_grpc.add_ImagesServicer_to_server(
            Images(images, packed, in_use, builds.prune, transfers),
            server,
        )
        images_pb2_grpc.add_BuildsServicer_to_server(builds, server)
        for task in background:
            task.add_done_callback(lambda task: stopped.set() if not task.cancelled() else None)
        _listen(server, settings.socket)
        await server.start()
        settings.socket.chmod(0o600)
        gc.freeze()
        log = structlog.get_logger("knarr.runtime")
        for sentence in filter(None, (*launcher.conditions(), apparmor.condition(unconfined))):
            log.warning("limited", what=sentence)
        log.info("serving", socket=str(settings.socket), streaming=streams.server.base_url)
        await stopped.wait()
        log.info("stopping; containers go on")
        await server.stop(GRACE_S)
        await builds.close()
        await streams.server.close()
        failed = [task for task in background if task.done() and not task.cancelled()]
        for task in background:
            task.cancel()
        await launcher.close()
        for task in failed:
            raise Unavailable(f"{task.get_name()} could not be followed: {task.exception()}")


class _BuildPulls:
    """Base images for builds."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers

    async def __call__(self, name: str, platform: str, progress: Progress, credentials: Credentials) -> Image:
        found: Image | None = None
        async for one in self._transfers.pull(name, platform, credentials):
            if isinstance(one, Pulled):
                found = one.image
            else:
                progress(*one)
        assert found is not None
        return found


def _listen(server: grpc.aio.Server, socket: Path) -> None:
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{socket}")
    finally:
        os.umask(before)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"{root} is in use by another runtime daemon") from None
        yield
    finally:
        os.close(descriptor)
