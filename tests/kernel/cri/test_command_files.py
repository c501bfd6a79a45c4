"""Files of containers: cp in both directions, diff, commit, volumes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.kernel.cri.commands import IMAGE, Command
from tests.kernel.daemon import until

pytestmark = pytest.mark.root


def test_files_are_copied_out_and_in(command: Command, tmp_path: Path) -> None:
    script = "mkdir -p /data/sub; echo one > /data/a; echo two > /data/sub/b; ln -s a /data/link; chmod 640 /data/a"
    script += "; sleep 1000"
    command("run", "-d", "--name", "box", IMAGE, "sh", "-c", script)
    until(lambda: "link" in command("exec", "box", "ls", "/data"), "its files")
    command("cp", "box:/data", str(tmp_path / "new"))
    assert (tmp_path / "new/a").read_text() == "one\n" and (tmp_path / "new/a").stat().st_mode & 0o777 == 0o640
    assert os.readlink(tmp_path / "new/link") == "a"
    (tmp_path / "there").mkdir()
    command("cp", "box:/data", str(tmp_path / "there"))
    assert (tmp_path / "there/data/sub/b").read_text() == "two\n"
    command("cp", "box:/data/.", str(tmp_path / "there"))
    assert (tmp_path / "there/sub/b").read_text() == "two\n"
    command("cp", "-L", "box:/data/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "one\n" and not (tmp_path / "followed").is_symlink()
    command("cp", "box:/data/a", f"{tmp_path}/missing/", status=1)
    command("cp", "box:/nothing", str(tmp_path), status=1)
    assert "/nothing" in command.said
    command("cp", str(tmp_path / "new"), "box:/tmp/copy")
    assert command("exec", "box", "cat", "/tmp/copy/a", "/tmp/copy/sub/b", "/tmp/copy/link") == "one\ntwo\none\n"
    assert command("exec", "box", "stat", "-c", "%u:%g %a", "/tmp/copy/a") == "0:0 640\n"
    command("cp", str(tmp_path / "new/a"), "box:/data/sub/b")
    assert command("exec", "box", "cat", "/data/sub/b") == "one\n"
    command("cp", str(tmp_path / "new"), "box:/data/a", status=1)
    assert "a directory cannot replace a file" in command.said
    command("cp", "box:/a", "box:/b", status=1)


def test_copies_of_a_container_that_does_not_run(command: Command, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("from outside\n")
    (tmp_path / "volume").mkdir()
    command(
        "create",
        "--name",
        "job",
        "-v",
        f"{tmp_path}/volume:/volume",
        IMAGE,
        "sh",
        "-c",
        "cat /etc/config; echo x > /made",
    )
    command("cp", str(tmp_path / "config"), "job:/etc/")
    assert command("start", "-a", "job") == "from outside\n"
    command("cp", "job:/made", str(tmp_path / "made"))
    assert (tmp_path / "made").read_text() == "x\n"
    command("cp", str(tmp_path / "config"), "job:/etc/config2")
    assert command("start", "-a", "job") == "from outside\n"
    command("cp", "job:/etc/config2", str(tmp_path / "again"))
    assert (tmp_path / "again").read_text() == "from outside\n"
    command("cp", str(tmp_path / "config"), "job:/volume/x", status=1)
    assert "does not run: start it" in command.said


def test_tars_come_and_go(command: Command, tmp_path: Path) -> None:
    command("run", "-d", "--name", "box", IMAGE, "sleep", "1000")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("deep/er/file")
        info.size, info.uid, info.mode = 3, 7, 0o600
        tar.addfile(info, io.BytesIO(b"abc"))
    command("cp", "-", "box:/tmp", stdin=buffer.getvalue())
    assert command("exec", "box", "stat", "-c", "%u %a %s", "/tmp/deep/er/file") == "7 600 3\n"
    target = tmp_path / "out.tar"
    command("cp", "box:/tmp/deep", str(tmp_path / "deep"))
    with open(target, "wb") as file:
        subprocess.run(command.words("cp", "box:/tmp/deep", "-"), stdout=file, env=command.environment, check=True)
    with tarfile.open(target) as tar:
        assert tar.getnames() == ["deep", "deep/er", "deep/er/file"]


def test_links_of_a_container_never_lead_out_of_it(command: Command, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("of the host")
    script = f"ln -s {outside} /absolute; ln -s {'../' * 30}{tmp_path} /up; ln -s /proc/self/root{tmp_path} /magic"
    script += "; sleep 1000"
    command("run", "-d", "--name", "box", IMAGE, "sh", "-c", script)
    until(lambda: "magic" in command("exec", "box", "ls", "/"), "its links")
    for source in ("box:/absolute", "box:/up/secret", "box:/magic/secret"):
        command("cp", "-L", source, str(tmp_path / "got"), status=1)
        assert not (tmp_path / "got").exists()
    (tmp_path / "evil").write_text("evil")
    for target in ("box:/up/secret", "box:/magic/secret", f"box:/up{tmp_path}/secret"):
        command("cp", str(tmp_path / "evil"), target, status=1)
        assert outside.read_text() == "of the host"
    command("cp", str(tmp_path / "evil"), "box:/absolute")
    assert outside.read_text() == "of the host"


def test_a_hostile_container_can_not_write_through_what_is_copied_out(command: Command, tmp_path: Path) -> None:
    """A link that is copied first, and then something below its name."""
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    script = f"mkdir /data; ln -s {outside} /data/a; echo x > /data/b; sleep 1000"
    command("run", "-d", "--name", "box", IMAGE, "sh", "-c", script)
    until(lambda: "b" in command("exec", "box", "ls", "/data"), "its files")
    command("cp", "box:/data/.", str(target))
    assert (target / "a").is_symlink() and list(outside.iterdir()) == []
    command("exec", "box", "sh", "-c", "rm /data/a; mkdir /data/a; echo pwned > /data/a/file")
    command("cp", "box:/data/.", str(target), status=1)  # what is there is a link to elsewhere on this machine
    assert list(outside.iterdir()) == []


def test_names_exchanged_during_a_copy_do_not_touch_the_host(command: Command, tmp_path: Path) -> None:
    """The container swaps a directory for a link to the host's all the time; the copy goes inside of it or fails."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    source = tmp_path / "source"
    (source / "x").mkdir(parents=True)
    for number in range(30):
        (source / "x" / f"f{number}").write_text("data")
    swap = (
        f"mkdir -p /t/d; ln -s {outside} /t/l; while :; do mv /t/d /t/e; mv /t/l /t/d; mv /t/d /t/l; mv /t/e /t/d; done"
    )
    command("run", "-d", "--name", "racer", IMAGE, "sh", "-c", swap)
    before = outside.stat().st_mode
    for _ in range(8):
        command.tried("cp", f"{source}/.", "racer:/t/d")
        command.tried("cp", "racer:/t", str(tmp_path / "copy"))
    assert list(outside.iterdir()) == [] and outside.stat().st_mode == before


def test_diff_tells_what_was_added_changed_and_deleted(command: Command) -> None:
    script = "echo x > /new; rm /bin/wget; mkdir /dir; echo y > /dir/in; echo z >> /etc/passwd"
    command("run", "--name", "box", IMAGE, "sh", "-c", script)
    lines = command("diff", "box").splitlines()
    assert {"A /new", "A /dir", "A /dir/in", "C /etc", "C /bin", "D /bin/wget"} <= set(lines), lines
    assert "C /etc/passwd" in lines or "A /etc/passwd" in lines
    assert not [line for line in lines if "resolv.conf" in line or line.startswith("D /new")]


def test_a_container_becomes_an_image(command: Command) -> None:
    command("run", "--name", "box", "-e", "COLOUR=blue", IMAGE, "sh", "-c", "echo made > /made; rm /bin/wget")
    change = ("-c", 'CMD ["cat", "/made"]', "-c", "ENV SHADE=dark", "-m", "with a file")
    assert command("commit", *change, "box", "own:1").startswith("sha256:")
    assert command("run", "--rm", "own:1") == "made\n"
    assert (
        command("run", "--rm", "own:1", "sh", "-c", "echo $COLOUR $SHADE; ls /bin/wget 2>&1 | wc -l")
        == "blue dark\n1\n"
    )
    command("commit", "-c", "RUN true", "box", status=1)
    assert "CMD" in command.said


def test_named_volumes_keep_data_and_begin_with_the_images(command: Command) -> None:
    command("run", "--rm", "-v", "data:/etc", IMAGE, "sh", "-c", "test -e /etc/passwd && echo kept > /etc/own")
    assert command("run", "--rm", "-v", "data:/d:ro", IMAGE, "cat", "/d/own") == "kept\n"
    assert command("volume", "ls", "-q") == "data\n"
    where = command("volume", "inspect", "-f", "{{.Mountpoint}}", "data").strip()
    assert (Path(where) / "own").read_text() == "kept\n"
    command("run", "-d", "--name", "user", "-v", "data:/d", IMAGE, "sleep", "1000")
    command("volume", "rm", "data", status=1)
    assert "in use" in command.said
    assert command("ps", "-q", "--filter", "volume=data") != ""
    command("rm", "-fv", "user")
    assert command("volume", "ls", "-q", "--filter", "dangling=true") == "data\n"
    assert command("volume", "rm", "data") == "data\n"
    assert not Path(where).exists()
    command("volume", "rm", "data", status=1)
    assert command("volume", "create", "-l", "a=b", "again") == "again\n"
    assert "again" in command("volume", "ls", "--filter", "label=a=b")


def test_anonymous_volumes_go_with_their_container(command: Command) -> None:
    assert command("run", "--rm", "-v", "/data", IMAGE, "sh", "-c", "echo x > /data/y; cat /data/y") == "x\n"
    assert command("volume", "ls", "-q") == ""
    command("run", "-d", "--rm", "-v", "/data", IMAGE, "true")
    until(lambda: command("volume", "ls", "-q") == "", "the removal of its volume")
    command("run", "--name", "kept", "-v", "/data", IMAGE, "true")
    assert command("rm", "kept") and len(command("volume", "ls", "-q").split()) == 1
    assert "Deleted volume" in command("volume", "prune", "-f")
    command("run", "--name", "gone", "-v", "/data", "--mount", "type=volume,dst=/more", IMAGE, "true")
    assert len(json.loads(command("inspect", "gone"))[0]["Mounts"]) == 2
    command("rm", "-v", "gone")
    assert command("volume", "ls", "-q") == ""
    command("run", "-v", "/data", IMAGE, "no-such-program", status=127)
    assert command("volume", "ls", "-q") == ""


def test_volumes_that_an_image_declares_are_made(command: Command) -> None:
    command("run", "--name", "box", IMAGE, "sh", "-c", "mkdir /store; echo first > /store/f")
    command("commit", "-c", 'VOLUME ["/store"]', "box", "store:1")
    assert (
        command(
            "run", "--name", "use", "store:1", "sh", "-c", "cat /store/f; echo more > /store/g; mount | grep -c /store"
        )
        == "first\n1\n"
    )
    mounts = json.loads(command("inspect", "-f", "{{json .Mounts}}", "use"))
    assert [each["Type"] for each in mounts] == ["volume"]
    assert (Path(mounts[0]["Source"]) / "g").read_text() == "more\n"
    command("rm", "-v", "use")
    assert command("volume", "ls", "-q") == ""
