"""Images as volumes, as newer kernels make them and as older ones must."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from knarr_runtime.kernel import mounts, paths

pytestmark = pytest.mark.root
Maker = Callable[[Sequence[str], str], int]
WAYS = pytest.mark.parametrize("make", [mounts.image, mounts.image_in_place])


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """Topmost first; both have a part of ``etc``."""
    found = []
    for name, text in (("upper", "new"), ("lower", "old")):
        directory = tmp_path / name / "fs"
        (directory / "etc").mkdir(parents=True)
        (directory / "etc/same").write_text(text)
        (directory / "etc" / name).write_text(name)
        (directory / "etc/out").symlink_to("/upper-only")
        found.append(str(directory))
    return found


def read(tree: int, path: str) -> str:
    descriptor = paths.open_inside(tree, path, os.O_RDONLY)
    with os.fdopen(descriptor) as file:
        return file.read()


@WAYS
def test_all_of_an_image_is_one_tree_and_read_only(layers: list[str], make: Maker) -> None:
    before = mounts.mount_points()
    tree = make(layers, "")
    try:
        assert (read(tree, "etc/same"), read(tree, "etc/upper"), read(tree, "etc/lower")) == ("new", "upper", "lower")
        with pytest.raises(OSError, match="Read-only file system"):
            os.mkdir("new", dir_fd=tree)
    finally:
        os.close(tree)
    assert mounts.mount_points() == before
    assert sorted(os.listdir(os.path.dirname(layers[0]))) == ["fs"]


@WAYS
def test_a_part_of_an_image_is_only_that(layers: list[str], make: Maker) -> None:
    tree = make(layers, "etc")
    try:
        assert sorted(os.listdir(f"/proc/self/fd/{tree}")) == ["lower", "out", "same", "upper"]
        with pytest.raises(OSError, match="Read-only file system"):
            os.mkdir("new", dir_fd=tree)
    finally:
        os.close(tree)


@WAYS
def test_a_part_that_is_not_there_leaves_nothing(layers: list[str], make: Maker) -> None:
    before = mounts.mount_points()
    for path in ("missing", "etc/out"):
        with pytest.raises(FileNotFoundError):
            make(layers, path)
    assert mounts.mount_points() == before
    assert sorted(os.listdir(os.path.dirname(layers[0]))) == ["fs"]


def test_one_layer_needs_no_overlay(layers: list[str]) -> None:
    tree = mounts.image(layers[1:], "etc")
    try:
        assert read(tree, "same") == "old"
    finally:
        os.close(tree)
