"""Builds and a daemon that is killed or has no network to offer."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def own(new_daemon: Any) -> Iterator[Any]:
    yield new_daemon


def test_a_killed_daemon_leaves_nothing_and_its_cache_is_used_again(own: Any) -> None:
    own.configure_network()
    own.build_base()
    text = "FROM base\nRUN echo first > /first\nRUN echo running; sleep 600\n"
    running = threading.Event()

    def build() -> None:
        with pytest.raises(grpc.RpcError):
            own.build_with(lambda answer: answer.line == "running" and running.set(), text)

    thread = threading.Thread(target=build)
    thread.start()
    assert running.wait(20)
    own.kill()
    thread.join(20)
    own.start()
    own.until(lambda: own.left() == [], "the killed build to be cleaned up")
    again = own.build("FROM base\nRUN echo first > /first\n")
    assert again.cached == 1


def test_a_daemon_that_stops_ends_its_builds_first(own: Any) -> None:
    own.build_base()
    running = threading.Event()

    def build() -> None:
        with pytest.raises(grpc.RpcError):
            text = "FROM base\nRUN echo running; sleep 600\n"
            own.build_with(lambda answer: answer.line == "running" and running.set(), text)

    thread = threading.Thread(target=build)
    thread.start()
    assert running.wait(20)
    own.process.terminate()
    assert own.process.wait(15) == 0
    thread.join(20)
    assert own.left() == []


def test_without_a_pod_network_the_hosts_is_used_and_said(own: Any) -> None:
    own.build_base()
    built = own.build(
        "FROM base\nRUN ip link show eth0 2>&1 || echo none\nRUN --network=none ip link show lo | grep -q LOOPBACK,UP\n"
    )
    assert any("host's network" in line for line in built.lines)
    assert "none" in built.lines


def test_urls(own: Any, tmp_path: Path) -> None:
    own.build_base()
    served = tmp_path / "www"
    served.mkdir()
    (served / "file.txt").write_text("content\n")
    own.serve_http(served, 8080)
    digest = "sha256:" + "0" * 64
    right = "sha256:434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53"
    built = own.build(
        "FROM base\nADD http://127.0.0.1:8080/file.txt /d/\n"
        f"ADD --checksum={right} http://127.0.0.1:8080/file.txt /renamed\n"
        "RUN cat /d/file.txt /renamed; stat -c %a /d/file.txt\n"
    )
    assert built.lines.count("content") == 2
    assert "600" in built.lines
    for text, message in (
        (f"ADD --checksum={digest} http://127.0.0.1:8080/file.txt /x", "digest mismatch"),
        ("ADD http://127.0.0.1:8080/nothing /x", "the server answered 404"),
        ("ADD http://127.0.0.1:1/x /x", "127.0.0.1:1"),
        ("ADD https://example.com/x.git /x", "git repositories can not be added"),
    ):
        _, details = own.fails(f"FROM base\n{text}\n")
        assert message in details


def test_an_imported_image_is_a_base(own: Any, tmp_path: Path) -> None:
    archive = tmp_path / "busybox.tar"
    subprocess.run([sys.executable, ROOT / "deploy/images/build_busybox.py", archive], check=True)
    images: Any = images_pb2_grpc.ImagesStub(own.channel)
    images.Import(iter([images_pb2.ImportRequest(data=archive.read_bytes())]))
    text = "FROM knarr/busybox:1\nRUN echo on top > /top\nCOPY --from=knarr/busybox:1 /bin/busybox /copy\n"
    built = own.build(text, tags=("derived:1",))
    assert own.build(text).id == built.id
    assert "on top" in own.build("FROM derived:1\nRUN cat /top && cmp /copy /bin/busybox\n").lines
    with tempfile.TemporaryFile() as file:
        for part in images.Export(images_pb2.ExportRequest(images=["derived:1"])):
            file.write(part.data)
        file.seek(0)
        with tarfile.open(fileobj=file) as exported:
            manifest = json.load(exported.extractfile("manifest.json"))
            config = json.load(exported.extractfile(manifest[0]["Config"]))
    assert manifest[0]["RepoTags"] == ["docker.io/library/derived:1"]
    assert len(manifest[0]["Layers"]) == len(config["rootfs"]["diff_ids"]) >= 3


def test_prune_removes_what_has_no_name_and_with_all_the_cache(own: Any) -> None:
    own.build_base()
    unnamed = own.build("FROM base\nRUN echo x > /x\n")
    images: Any = images_pb2_grpc.ImagesStub(own.channel)
    assert list(images.Prune(images_pb2.PruneRequest()).images) == [unnamed.id]
    assert own.build("FROM base\nRUN echo x > /x\n").cached == 1
    answer = images.Prune(images_pb2.PruneRequest(all=True))
    assert "docker.io/library/base:latest" in answer.images and answer.freed_bytes > 1_000_000
    assert [
        path for kind in ("records", "blobs", "layers") for path in (own.base / "root/build" / kind).iterdir()
    ] == []
    assert own.build("FROM scratch\nENV A=1\n").id
