"""Files found in layers without a mount are what an overlay of them shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knarr_runtime.images import merged

OPAQUE = "trusted.overlay.opaque"


class Layers:
    """Directories made one above another."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._paths: list[str] = []

    def add(self) -> Path:
        layer = self._base / str(len(self._paths))
        layer.mkdir()
        self._paths.insert(0, str(layer))
        return layer

    def read(self, path: str, limit_bytes: int = 1000) -> str:
        return merged.read(self._paths, path, limit_bytes).decode()


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path)


def put(layer: Path, path: str, text: str) -> None:
    (layer / path).parent.mkdir(parents=True, exist_ok=True)
    (layer / path).write_text(text)


def white_out(layer: Path, path: str) -> None:
    (layer / path).parent.mkdir(parents=True, exist_ok=True)
    os.mknod(layer / path, 0o020000, 0)


def test_the_topmost_is_read_and_no_more_than_asked_for(layers: Layers) -> None:
    put(layers.add(), "etc/passwd", "below")
    assert layers.read("/etc/passwd") == "below"
    put(layers.add(), "etc/passwd", "above")
    put(layers.add(), "etc/group", "else")
    assert layers.read("/etc/passwd") == "above"
    assert layers.read("/etc/passwd", 3) == "abo"
    assert layers.read("etc/../etc/./group") == "else"
    assert layers.read("../../etc/group") == "else"


@pytest.mark.parametrize("gone", ["etc/passwd", "etc"])
def test_what_a_layer_removed_is_not_found_below(layers: Layers, gone: str) -> None:
    put(layers.add(), "etc/passwd", "below")
    white_out(layers.add(), gone)
    with pytest.raises(FileNotFoundError):
        layers.read("/etc/passwd")
    if gone == "etc/passwd":
        put(layers.add(), "etc/passwd", "again")
        assert layers.read("/etc/passwd") == "again"


def test_an_opaque_directory_hides_what_lies_below(layers: Layers) -> None:
    put(layers.add(), "etc/passwd", "below")
    above = layers.add()
    put(above, "etc/group", "above")
    os.setxattr(above / "etc", OPAQUE, b"y")
    put(layers.add(), "etc/other", "top")
    assert layers.read("/etc/group") == "above" and layers.read("/etc/other") == "top"
    with pytest.raises(FileNotFoundError):
        layers.read("/etc/passwd")


def test_a_file_hides_directories_below_it(layers: Layers) -> None:
    put(layers.add(), "etc/passwd", "lowest")
    put(layers.add(), "etc", "a file")
    with pytest.raises(FileNotFoundError):
        layers.read("/etc/passwd")
    put(layers.add(), "etc/group", "top")
    assert layers.read("/etc/group") == "top"
    with pytest.raises(FileNotFoundError):
        layers.read("/etc/passwd")


def test_links_lead_through_all_layers_and_never_out_of_them(layers: Layers) -> None:
    bottom = layers.add()
    put(bottom, "usr/etc/passwd", "below")
    (bottom / "etc").symlink_to("usr/etc")
    assert layers.read("/etc/passwd") == "below"
    above = layers.add()
    put(above, "usr/etc/passwd", "above")
    assert layers.read("/etc/passwd") == "above"
    (above / "usr/etc/relative").symlink_to("../../usr/etc/passwd")
    (above / "usr/etc/absolute").symlink_to("/etc/passwd")
    (above / "usr/etc/outside").symlink_to("../../../../../../../../etc/hostname")
    (above / "usr/etc/loop").symlink_to("loop")
    assert layers.read("/etc/relative") == layers.read("/etc/absolute") == "above"
    for name in ("outside", "loop", "passwd/deeper", ""):
        with pytest.raises(OSError):
            layers.read(f"/etc/{name}")


def test_what_is_no_plain_file_is_not_read(layers: Layers) -> None:
    layer = layers.add()
    os.mkfifo(layer / "fifo")
    os.mknod(layer / "zero", 0o020666, os.makedev(1, 5))
    for name in ("fifo", "zero"):
        with pytest.raises(FileNotFoundError):
            layers.read(name)
