"""COPY and ADD on a real overlay: where files go, and that nothing leaves its root."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from knarr_build.ignore import Patterns
from knarr_runtime.build import files, rootfs, tree, untar
from knarr_runtime.build.copying import Ownership
from knarr_runtime.build.modes import Mode
from knarr_runtime.build.steps import directory_root
from knarr_runtime.errors import Invalid

ROOT = Ownership(uid=0, gid=0)


class Place:
    """A context, an image of one layer, and what a COPY makes of them."""

    def __init__(self, base: Path) -> None:
        self.context, self.image, self.upper = base / "context", base / "image", base / "upper"
        self.workspace = base / "work"
        for path in (self.context, self.image, self.workspace):
            path.mkdir()

    def copy(self, *names: str, ownership: Ownership = ROOT, exclude: tuple[str, ...] = (), add: bool = False) -> None:
        *sources, target = names
        patterns = Patterns(exclude)
        found = files.find(directory_root(self.context), tuple(sources), patterns, archives=add)
        job = files.Job(
            sources=tuple(found), inline=(), target=files.target_path(target, "/work"), exclude=patterns, keyword="COPY"
        )
        with rootfs.opened([str(self.image)], self.workspace, self.upper) as root:
            files.put(job, root, ownership, ownership)

    def made(self) -> dict[str, str]:
        """Path → content (``->`` and target of links, ``/`` for directories) of the layer."""
        found = {}
        for path in sorted(self.upper.rglob("*")):
            name = str(path.relative_to(self.upper))
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            else:
                found[name] = "/" if path.is_dir() else path.read_text()
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    (made.context / "d/deep").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.md", "d/x", "d/deep/y"):
        (made.context / name).write_text(name)
    return made


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a.txt", "/new"), {"new": "a.txt"}),
        (("a.txt", "/new/"), {"new": "/", "new/a.txt": "a.txt"}),
        (("a.txt", "there"), {"work": "/", "work/there": "a.txt"}),
        (("a.txt", "."), {"work": "/", "work/a.txt": "a.txt"}),
        (("a.txt", "/dir"), {"dir": "/", "dir/a.txt": "a.txt"}),
        (("a.txt", "b.txt", "/m/"), {"m": "/", "m/a.txt": "a.txt", "m/b.txt": "b.txt"}),
        (("*.txt", "/m/"), {"m": "/", "m/a.txt": "a.txt", "m/b.txt": "b.txt"}),
        (("?.md", "/one"), {"one": "c.md"}),
        (("d", "/t"), {"t": "/", "t/x": "d/x", "t/deep": "/", "t/deep/y": "d/deep/y"}),
        (("d/", "/dir/"), {"dir": "/", "dir/x": "d/x", "dir/deep": "/", "dir/deep/y": "d/deep/y"}),
        (("d/*", "/m/"), {"m": "/", "m/x": "d/x", "m/y": "d/deep/y"}),
        (("../../a.txt", "/up"), {"up": "a.txt"}),
        (("/a.txt", "../../../out"), {"out": "a.txt"}),
        (("d/../a.txt", "/n"), {"n": "a.txt"}),
    ],
)
def test_where_files_go(place: Place, names: tuple[str, ...], expected: dict[str, str]) -> None:
    (place.image / "dir").mkdir()
    place.copy(*names)
    assert place.made() == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("nothing", "/x"), '"/nothing": not found'),
        (("*.txt", "/x"), "destination must be a directory"),
        (("d", "/file"), "Not a directory|cannot replace a file|a directory cannot be mounted"),
        (("a.txt", "/file/x"), "destination"),
    ],
)
def test_what_is_refused(place: Place, names: tuple[str, ...], message: str) -> None:
    (place.image / "file").write_text("file")
    with pytest.raises(Invalid, match=message):
        place.copy(*names)


def test_a_file_never_replaces_a_directory(place: Place) -> None:
    (place.image / "t/x").mkdir(parents=True)
    with pytest.raises(Invalid, match="a file cannot replace a directory"):
        place.copy("d", "/t")


def test_links_of_the_context_lead_nowhere_outside(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (place.context / "absolute").symlink_to(tmp_path / "secret")
    (place.context / "relative").symlink_to("../secret")
    (place.context / "inside").symlink_to("/d/x")
    (place.context / "directory").symlink_to(str(tmp_path))
    for name in ("absolute", "relative", "directory/secret", "directory"):
        with pytest.raises(Invalid, match="not found"):
            place.copy(name, "/x")
    place.copy("inside", "/x")
    assert place.made()["x"] == "d/x"


def test_links_in_a_directory_stay_links(place: Place) -> None:
    (place.context / "d/link").symlink_to("/etc/passwd")
    place.copy("d", "/t")
    assert place.made()["t/link"] == "-> /etc/passwd"


def test_links_of_the_image_lead_where_they_would_in_a_container(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.image / "lib").symlink_to("/usr/lib")
    (place.image / "escape").symlink_to("../../../.." + str(outside))
    (place.image / "file").symlink_to("/etc/target")
    place.copy("a.txt", "/lib/")
    place.copy("a.txt", "/escape/evil")
    place.copy("b.txt", "/file")
    made = place.made()
    assert made["usr/lib/a.txt"] == "a.txt"
    assert made["etc/target"] == "b.txt"
    assert list(outside.iterdir()) == []
    assert made[str(outside).lstrip("/") + "/evil"] == "a.txt"


def test_names_that_are_no_text(place: Place) -> None:
    (place.context / "d" / os.fsdecode(b"caf\xe9")).write_text("x")
    place.copy("d", "/t")
    place.copy("d/caf*", "/matched")
    assert place.made()["t/" + os.fsdecode(b"caf\xe9")] == "x"
    assert place.made()["matched"] == "x"


def test_owner_and_mode(place: Place) -> None:
    os.chown(place.context / "a.txt", 7, 8)
    (place.context / "a.txt").chmod(0o4755)
    place.copy("a.txt", "/kept", ownership=Ownership())
    place.copy("a.txt", "/given", ownership=Ownership(uid=1, gid=2, mode=Mode(octal=0o640)))
    kept, given = (place.upper / "kept").stat(), (place.upper / "given").stat()
    assert (kept.st_uid, kept.st_gid, stat.S_IMODE(kept.st_mode)) == (7, 8, 0o4755)
    assert (given.st_uid, given.st_gid, stat.S_IMODE(given.st_mode)) == (1, 2, 0o640)


def test_directories_that_are_there_keep_their_mode(place: Place) -> None:
    (place.image / "t").mkdir(mode=0o700)
    (place.context / "d").chmod(0o751)
    place.copy("d", "/t")
    place.copy("d", "/new")
    assert stat.S_IMODE((place.upper / "t").stat().st_mode) == 0o700
    assert stat.S_IMODE((place.upper / "new").stat().st_mode) == 0o751


def test_exclude_and_hard_links(place: Place) -> None:
    os.link(place.context / "d/x", place.context / "d/z")
    place.copy("d", "/t", exclude=("deep/*",))
    assert set(place.made()) == {"t", "t/x", "t/z", "t/deep"}
    assert (place.upper / "t/x").stat().st_ino == (place.upper / "t/z").stat().st_ino


def test_fingerprints_see_contents_and_modes_but_no_times(place: Place) -> None:
    with directory_root(place.context)() as root:
        first = tree.fingerprint(root, "d")
        os.utime(place.context / "d/x", (1, 1))
        assert tree.fingerprint(root, "d") == first
        (place.context / "d/x").chmod(0o600)
        second = tree.fingerprint(root, "d")
        (place.context / "d/x").write_text("other")
        assert len({first, second, tree.fingerprint(root, "d")}) == 3


def test_add_unpacks_archives_but_copy_does_not(place: Place) -> None:
    with tarfile.open(place.context / "x.tgz", "w:gz") as archive:
        archive.add(place.context / "d", "d")
    place.copy("x.tgz", "/t/", add=True)
    assert {"t/d/x", "t/d/deep/y"} <= set(place.made())
    assert not (place.upper / "t/x.tgz").exists()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil")],
        [member("a/../../evil")],
        [member("link", tarfile.SYMTYPE, "/"), member("link/../../evil")],
        [member("hard", tarfile.LNKTYPE, "../secret")],
        [member("device", tarfile.CHRTYPE)],
        [member("fifo", tarfile.FIFOTYPE)],
    ],
)
def test_malicious_contexts_are_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(Invalid):
        unpack(tmp_path, members)
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "context"}


def test_links_of_an_archive_do_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    unpack(tmp_path, [member("link", tarfile.SYMTYPE, str(outside)), member("link/evil")])
    assert list(outside.iterdir()) == []


def unpack(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for each in members:
            archive.addfile(each)
    data.seek(0)
    directory = tmp_path / "context"
    directory.mkdir()
    with directory_root(directory)() as root:
        untar.extract(data, root, limits=untar.Limits(), owner=(0, 0))


def test_limits_of_a_context(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for number in range(5):
            info = member(str(number))
            info.size = 100
            archive.addfile(info, io.BytesIO(bytes(100)))
    for limits in (untar.Limits(max_entries=4), untar.Limits(max_bytes=400)):
        data.seek(0)
        directory = tmp_path / f"{limits.max_entries}"
        directory.mkdir()
        with directory_root(directory)() as root, pytest.raises(Invalid, match="more than"):
            untar.extract(data, root, limits=limits, owner=(0, 0))
