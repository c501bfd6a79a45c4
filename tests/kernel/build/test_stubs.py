"""Targets of mounts that a container needed are taken away again, whatever its program put in their place."""

from __future__ import annotations

from pathlib import Path

from knarr_runtime.build import running
from knarr_runtime.spec import Mount, User


def program(lower: Path) -> running.Program:
    return running.Program(args=("true",), env=(), cwd="/", user=User(), lower=(str(lower),))


def made(tmp_path: Path) -> tuple[Path, list[running._Stub]]:
    lower, upper, workspace = tmp_path / "lower", tmp_path / "upper", tmp_path / "workspace"
    (lower / "etc").mkdir(parents=True)
    workspace.mkdir()
    mounts = (Mount(target="/etc/hosts", source="/etc/hosts"), Mount(target="/a/b/c", kind="tmpfs"))
    return upper, running._prepare(program(lower), mounts, upper, workspace)


def test_nothing_stays_of_targets_that_were_not_used(tmp_path: Path) -> None:
    upper, stubs = made(tmp_path)
    assert (upper / "etc/hosts").exists() and (upper / "a/b/c").is_dir() and (upper / "proc").is_dir()
    running._take_away(stubs, upper)
    assert list(upper.iterdir()) == []


def test_what_a_program_made_of_them_stays(tmp_path: Path) -> None:
    upper, stubs = made(tmp_path)
    (upper / "a/b/kept").write_text("kept")
    (upper / "etc").chmod(0o700)
    running._take_away(stubs, upper)
    assert {str(path.relative_to(upper)) for path in upper.rglob("*")} == {"a", "a/b", "a/b/kept", "etc"}


def test_links_in_their_place_lead_nowhere(tmp_path: Path) -> None:
    upper, stubs = made(tmp_path)
    outside = tmp_path / "outside"
    (upper / "a/b").rename(outside)  # the very inodes, reached by a link: only the way there tells
    (upper / "a/b").symlink_to(outside)
    (upper / "etc").rename(tmp_path / "etc")
    (upper / "etc").symlink_to(tmp_path / "etc")
    running._take_away(stubs, upper)
    assert (outside / "c").is_dir()
    assert (tmp_path / "etc/hosts").exists()
