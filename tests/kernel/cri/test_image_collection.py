"""A full disk costs images that nothing uses."""

from __future__ import annotations

import json
import time

import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from tests.kernel.cri.conftest import Daemon
from tests.kernel.images.conftest import docker_archive

pytestmark = pytest.mark.root
LONG_S = 3600.0


def age(daemon: Daemon) -> None:
    """All images came long ago. The daemon must not run."""
    path = daemon.base / "root/images/images.json"
    images = json.loads(path.read_text())
    path.write_text(json.dumps([{**image, "imported_at_s": time.time() - LONG_S} for image in images]))


def names(daemon: Daemon) -> set[str]:
    answer = daemon.images.ListImages(cri.ListImagesRequest())
    return {tag for image in answer.images for tag in image.repo_tags}


def load(daemon: Daemon, tag: str) -> None:
    archive = docker_archive(b"\0" * 10240, tag=tag)
    images_pb2_grpc.ImagesStub(daemon.channel).Import(iter([images_pb2.ImportRequest(data=archive)]))


def test_what_nothing_uses_goes_and_what_runs_or_is_new_stays(daemon: Daemon) -> None:
    load(daemon, "unused:1")
    sandbox = daemon.sandbox("web")
    daemon.start_container(daemon.container(sandbox, "sleep", "100000"))
    used = names(daemon) - {"docker.io/library/unused:1"}
    daemon.kill()
    age(daemon)
    daemon.arguments = ["--image-gc-high", "0", "--image-gc-low", "0"]
    daemon.start()
    load(daemon, "new:1")
    daemon.until(lambda: "docker.io/library/unused:1" not in names(daemon), "the unused image to go")
    assert names(daemon) == used | {"docker.io/library/new:1"}
    daemon.remove(sandbox)
