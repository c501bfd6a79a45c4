"""The tar that goes to the runtime."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from knarr_build import context
from knarr_build.client import opened
from knarr_build.ignore import read


def names(directory: Path, patterns: str = "") -> list[str]:
    data = b"".join(context.packed(directory, read(patterns)))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "src/deep").mkdir(parents=True)
    (tmp_path / "src/deep/a.txt").write_text("a")
    (tmp_path / "src/b.md").write_text("b")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "link").symlink_to("/etc/passwd")
    return tmp_path


def test_everything_in_the_order_of_names(tree: Path) -> None:
    assert names(tree) == ["Dockerfile", "link", "src", "src/b.md", "src/deep", "src/deep/a.txt"]


def test_directories_left_out_are_not_entered_and_exceptions_bring_their_parents(tree: Path) -> None:
    assert names(tree, "src") == ["Dockerfile", "link"]
    assert names(tree, "*\n!src/deep/a.txt") == ["src", "src/deep", "src/deep/a.txt"]


def test_links_are_not_followed_and_owners_do_not_travel(tree: Path) -> None:
    data = b"".join(context.packed(tree, read("")))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        link = archive.getmember("link")
        assert link.issym() and link.linkname == "/etc/passwd"
        assert {(member.uid, member.gid) for member in archive} == {(0, 0)}
        file = archive.extractfile("src/deep/a.txt")
        assert file is not None and file.read() == b"a"


def test_sockets_and_fifos_stay_behind_and_pieces_are_small(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "big").write_bytes(b"x" * (3 * context.CHUNK_BYTES + 5))
    pieces = list(context.packed(tmp_path, read("")))
    assert max(map(len, pieces)) <= context.CHUNK_BYTES
    assert names(tmp_path) == ["big"]


def test_the_ignore_file_of_a_dockerfile_comes_first(tree: Path) -> None:
    (tree / ".dockerignore").write_text("src\n")
    (tree / "other.Dockerfile").write_text("FROM scratch\n")
    (tree / "other.Dockerfile.dockerignore").write_text("*.md\n")
    assert context.ignored(tree, tree / "Dockerfile").excluded("src")
    assert not context.ignored(tree, tree / "other.Dockerfile").excluded("src")


def test_words_of_the_command_line(tree: Path) -> None:
    text = io.BytesIO(b"FROM x\n")
    assert opened(str(tree), "", io.BytesIO()).dockerfile == b"FROM scratch\n"
    assert opened("-", "", text).directory is None
    assert opened(str(tree), "-", io.BytesIO(b"FROM y\n")).dockerfile == b"FROM y\n"
    with pytest.raises(context.ContextError, match="unable to read the Dockerfile"):
        opened(str(tree), "nope", io.BytesIO())
    with pytest.raises(context.ContextError, match="is not a directory"):
        opened(str(tree / "nowhere"), "", io.BytesIO())
