"""Other people's tools: they take our images, and buildah makes the same of the same Dockerfiles."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc

STUBS = ("dev", "proc", "sys", "run", "etc/hosts", "etc/hostname", "etc/resolv.conf")
"""What buildah's container needed and its layers have; Docker's and ours have not."""

COPYING = r"""FROM base
COPY src /src
COPY src/ /src-slash/
COPY src/a.txt /one
COPY src/a.txt /dir/
COPY src/*.txt src/deep/*.md /many/
COPY src src/a.txt /merged/
COPY --chown=user:1000 --chmod=640 src/a.txt /own/ed
COPY --chown=7 src /owned
COPY ["src/with space", "/with space/"]
COPY src/link /link-followed
COPY src/directory-link /directory-link
ADD x.tgz /unpacked/
WORKDIR /work
COPY src/a.txt relative
COPY src/a.txt .
WORKDIR sub
COPY src/a.txt ../up
COPY src/a.txt /bin/
"""
RUNNING = r"""FROM base AS first
ARG X=1
ENV Y="y $X" Z=z\ z PATH=$PATH:/more
RUN echo "$X $Y $Z" > /out && mkdir -m 1777 /t && ln -s out /soft && ln /out /hard && cp /out /setuid
RUN rm -rf /etc/group && echo changed >> /etc/passwd && chmod 4755 /setuid && chown 5:6 /t
RUN rm -r /t && mkdir /t && touch /t/new && mkfifo /fifo
FROM base
COPY --from=first / /all
COPY --from=first /out /hard /
COPY --from=0 /t /t
USER user
RUN id -u > /tmp/who; touch /tmp/mine
SHELL ["/bin/sh", "-e", "-c"]
RUN echo $0 $- > /tmp/shell
"""
CONFIGURING = r"""FROM base
ENV A=1 B="two words" C='$A' D=${A:-x}${N:-none} E="a\"b"
ENV OLD some  text
LABEL one=1 "two words"="a b"
EXPOSE 80 53/udp
VOLUME /data /more
VOLUME ["/json"]
WORKDIR /a
WORKDIR b/../c
USER user:1000
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/bin/echo", "x"]
CMD shell form $A
"""
KEYS = ("Env", "Cmd", "Entrypoint", "ExposedPorts", "Volumes", "WorkingDir", "User", "Labels", "StopSignal")


class Tools:
    """podman and buildah with a storage of their own; nothing outside of it is touched."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._storage = ["--root", str(base / "root"), "--runroot", str(base / "run"), "--storage-driver", "vfs"]

    def __call__(self, tool: str, *arguments: str) -> str:
        done = subprocess.run(
            [tool, *self._storage, *arguments], capture_output=True, text=True, check=False, cwd=self.base, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, image: str) -> str:
        """What its own command prints under ``podman run``, in a mount namespace without the hybrid cgroup2 hierarchy:
        crun refuses that one."""
        limits = [f"--ulimit={name}=1024:1024" for name in ("nofile", "nproc")]  # not raised: no right to
        podman = ["podman", *self._storage, "--cgroup-manager=cgroupfs", "--runtime=crun", "run", "--rm", *limits]
        alone = ["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh"]
        done = subprocess.run(
            [*alone, *podman, "--network=none", "--cgroups=disabled", image],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self, image: str) -> dict[str, tuple[str, int, int, str]]:
        """Path → (kind, mode, owner, group, content or link)."""
        container = self("buildah", "from", "--pull-never", image)
        try:
            root = Path(self("buildah", "mount", container))
            found = {}
            for path in root.rglob("*"):
                name, status = str(path.relative_to(root)), path.lstat()
                content = ""
                if path.is_symlink():
                    content = str(path.readlink())
                elif path.is_file() and status.st_size < 10_000:
                    content = path.read_bytes().decode(errors="replace")
                found[name] = (oct(status.st_mode), status.st_uid, status.st_gid, content)
            return {name: value for name, value in found.items() if name.removeprefix("all/") not in STUBS}
        finally:
            self("buildah", "rm", container)

    def config(self, image: str) -> dict[str, Any]:
        (found,) = json.loads(self("podman", "image", "inspect", image))
        return {key: found["Config"].get(key) or None for key in KEYS}


def archive(daemon: Any, tag: str, target: Path, form: str = "docker-archive") -> Path:
    stub: Any = images_pb2_grpc.ImagesStub(daemon.channel)
    with open(target, "wb") as file:
        for part in stub.Export(images_pb2.ExportRequest(images=[tag], format=form)):
            file.write(part.data)
    return target


@pytest.fixture(scope="module")
def tools(shared: Any) -> Iterator[Tools]:
    made = Tools(Path(tempfile.mkdtemp(prefix="kp-")))  # podman's sockets want a short path
    shared.build("FROM base\nRUN mkdir -m 1777 /tmp\n", tags=("localhost/start",))
    made("podman", "load", "-q", "-i", str(archive(shared, "localhost/start", made.base / "start.tar")))
    yield made
    subprocess.run(["rm", "-rf", str(made.base)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("text", [COPYING, RUNNING, CONFIGURING], ids=["copying", "running", "configuring"])
def test_buildah_makes_the_same(daemon: Any, tools: Tools, context: Path, text: str) -> None:
    (context / "src/with space").write_text("space")
    (context / "src/link").symlink_to("a.txt")
    (context / "src/directory-link").symlink_to("deep")
    (context / "src/a.txt").chmod(0o664)
    text = text.replace("FROM base", "FROM localhost/start")
    (context / "Dockerfile").write_text(text)
    daemon.build(text, context, tags=("localhost/ours",))
    tools("podman", "load", "-q", "-i", str(archive(daemon, "localhost/ours", context / "ours.tar")))
    (context / ".dockerignore").write_text("ours.tar\n")
    tools("buildah", "bud", "--isolation", "chroot", "--format", "docker", "-q", "-t", "theirs", str(context))
    ours, theirs = tools.files("localhost/ours"), tools.files("localhost/theirs")
    assert {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()} == {
        name: (theirs.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()
    }
    our_config, their_config = tools.config("localhost/ours"), tools.config("localhost/theirs")
    their_config["Labels"] = {
        key: value for key, value in (their_config["Labels"] or {}).items() if not key.startswith("io.buildah")
    } or None
    assert our_config == their_config


@pytest.mark.slow
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_and_skopeo_take_it_and_it_runs(daemon: Any, tools: Tools, context: Path, form: str) -> None:
    text = f"FROM base\nCOPY src /src\nRUN echo made > /made\nCMD cat /made /src/a.txt\nLABEL form={form}\n"
    built = daemon.build(text, context, tags=("localhost/runs",))
    packed = archive(daemon, "localhost/runs", context / "runs.tar", form)
    inspect = ["skopeo", "inspect", f"{form}:{packed}"]
    seen = json.loads(subprocess.run(inspect, capture_output=True, check=True).stdout)
    assert seen["Architecture"] in ("amd64", "arm64") and len(seen["Layers"]) >= 4
    tools("podman", "load", "-q", "-i", str(packed))
    identifier = built.id.removeprefix("sha256:")
    assert identifier in tools("podman", "images", "--no-trunc", "--format", "{{.ID}}")
    assert tools.run(identifier).split() == ["made", "a"]
