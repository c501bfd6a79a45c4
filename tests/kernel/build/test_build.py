"""Whole builds by a real daemon: what RUN sees, what lands in layers, the cache, failures, cancelling."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc


def config(daemon: Any, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (daemon.base / "root/images/blobs/sha256" / identifier.removeprefix("sha256:")).read_bytes()
    )
    return found


def test_what_a_program_sees(daemon: Any, context: Path) -> None:
    built = daemon.build(
        "FROM base\nARG WHO=nobody\nENV GREETING=hello\nWORKDIR /work\nUSER user\n"
        'RUN id; pwd; echo "$GREETING $WHO $HOME"; hostname\n'
        'RUN grep -E "Seccomp:|CapBnd|NoNewPrivs" /proc/self/status\n',
        context,
        args={"WHO": "you"},
    )
    assert "uid=1000(user) gid=1000(user)" in built.output
    assert "/work" in built.lines
    assert "hello you /home/user" in built.lines
    assert "buildkitsandbox" in built.lines
    assert "Seccomp:\t2" in built.lines
    assert "CapBnd:\t00000000a80425fb" in built.lines
    assert "NoNewPrivs:\t0" in built.lines


def test_networks(daemon: Any) -> None:
    built = daemon.build("FROM base\nRUN ip -4 addr show dev eth0\nRUN --network=none ! ip addr show dev eth0\n")
    assert "inet 10.244.9." in built.output
    code, message = daemon.fails("FROM base\nRUN --network=host true\n")
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "Dockerfile:2:" in message


def test_layers_hold_what_changed_and_nothing_the_container_needed(daemon: Any, context: Path) -> None:
    built = daemon.build(
        "FROM base AS first\nRUN mkdir /d && echo x > /d/x && echo >> /etc/resolv.conf && rm /etc/group\n"
        "FROM scratch\nCOPY --from=first / /\n",
        context,
    )
    probe = daemon.build(f"FROM {built.id}\nRUN ls /; ls -A /etc; cat /d/x; [ -s /etc/resolv.conf ] && echo provided\n")
    names = set(probe.lines)
    assert {"bin", "d", "etc", "x", "passwd", "provided"} <= names
    assert "group" not in names
    listed = daemon.build(f"FROM base\nCOPY --from={built.id} / /copy\nRUN ls -A /copy /copy/etc\n")
    assert not {"proc", "sys", "dev", "resolv.conf", "hosts"} & set(listed.lines)
    assert config(daemon, probe.id)["rootfs"] == config(daemon, built.id)["rootfs"]


def test_configuration_and_history(daemon: Any) -> None:
    built = daemon.build(
        'FROM base\nENV A=1 B="x y"\nLABEL l=1\nEXPOSE 80/tcp 53/udp\nVOLUME /data\nSTOPSIGNAL SIGINT\n'
        'HEALTHCHECK --interval=5s CMD ["true"]\nUSER user:user\nWORKDIR /w\nSHELL ["/bin/sh", "-ec"]\nCMD echo hi\n'
        "ONBUILD RUN echo triggered\nMAINTAINER me\n",
        labels={"m": "2"},
    )
    document = config(daemon, built.id)
    found = document["config"]
    assert found["Env"][-2:] == ["A=1", "B=x y"]
    assert found["Labels"] == {"l": "1", "m": "2"}
    assert found["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert found["Cmd"] == ["/bin/sh", "-ec", "echo hi"]
    assert found["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 5 * 10**9}
    assert found["OnBuild"] == ["RUN echo triggered"]
    assert (found["User"], found["WorkingDir"], found["StopSignal"]) == ("user:user", "/w", "SIGINT")
    assert document["author"] == "me"
    layers = [entry for entry in document["history"] if not entry.get("empty_layer")]
    assert len(layers) == len(document["rootfs"]["diff_ids"])
    triggered = daemon.build(f"FROM {built.id}\n")
    assert "triggered" in triggered.lines
    assert "OnBuild" not in config(daemon, triggered.id)["config"]


def test_a_context_of_which_nothing_is_left_is_empty(daemon: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "made of nothing" in daemon.build("FROM base\nRUN echo made of nothing\n", empty).lines
    (empty / ".dockerignore").write_text("*\n!busybox\n")
    found, details = daemon.fails("FROM base\nCOPY busybox /x\n", empty)
    assert (found, '"/busybox": not found' in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def test_here_documents(daemon: Any) -> None:
    built = daemon.build(
        "FROM base\nENV X=1\nRUN <<EOF\necho one $X\n  echo two\nEOF\n"
        "RUN <<SCRIPT\n#!/bin/sh\necho from $0\nSCRIPT\n"
        "RUN cat <<A - > /out && cat /out\nthrough the shell\nA\n"
        "COPY <<F <<'G' /d/\nexpanded $X\nF\nkept $X\nG\nRUN cat /d/F /d/G\n"
    )
    for line in ("one 1", "two", "from /dev/pipes/SCRIPT", "through the shell", "expanded 1", "kept $X"):
        assert line in built.lines


def test_the_cache(daemon: Any, context: Path) -> None:
    text = "FROM base\nARG V\nCOPY src /src\nRUN echo $V > /v\nRUN cat /src/a.txt\n"
    first = daemon.build(text, context, args={"V": "1"})
    again = daemon.build(text, context, args={"V": "1"})
    assert (first.cached, again.cached) == (0, 3)
    assert again.id == first.id
    os.utime(context / "src/a.txt", (1, 1))
    assert daemon.build(text, context, args={"V": "1"}).cached == 3
    assert daemon.build(text, context, args={"V": "2"}).cached == 1
    (context / "src/a.txt").chmod(0o600)
    assert daemon.build(text, context, args={"V": "1"}).cached == 0
    assert daemon.build(text, context, args={"V": "1"}, no_cache=True).cached == 0


def test_a_build_can_be_repeated_bit_by_bit(daemon: Any, context: Path) -> None:
    text = "FROM base\nWORKDIR /w\nCOPY src src\nRUN echo x > made && mkdir -p a/b && ln made a/b/hard\n"
    arguments = {"SOURCE_DATE_EPOCH": "1700000000"}
    first = daemon.build(text, context, args=arguments, no_cache=True)
    os.utime(context / "src/a.txt")
    assert daemon.build(text, context, args=arguments, no_cache=True).id == first.id
    assert config(daemon, first.id)["created"] == "2023-11-14T22:13:20Z"


def test_mounts(daemon: Any, context: Path) -> None:
    text = (
        "FROM base AS other\nRUN echo from-stage > /f\nFROM base\n"
        "RUN --mount=type=cache,target=/cache echo x >> /cache/log; wc -l < /cache/log\n"
        "RUN --mount=type=tmpfs,target=/t,size=1m touch /t/x && df /t | tail -1 && ls /t\n"
        "RUN --mount=type=bind,source=src,target=/m cat /m/a.txt; ! touch /m/new 2>/dev/null && echo read-only\n"
        "RUN --mount=from=other,source=/f,target=/f cat /f\n"
        "RUN --mount=type=secret,id=s ls /run/secrets 2>/dev/null || echo no secret\n"
        "RUN ls / && ! [ -e /cache/log ]\n"
    )
    first = daemon.build(text, context)
    assert {"1", "a", "read-only", "from-stage", "no secret"} <= set(first.lines)
    second = daemon.build(text, context, no_cache=True)
    assert "2" in second.lines
    assert not {"cache", "t", "m", "f"} & set(first.lines[first.lines.index("no secret") :])
    code, message = daemon.fails("FROM base\nRUN --mount=type=secret,id=s,required=true true\n")
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "secret s: not found" in message


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "FROM base\nRUN echo before; exit 3\n",
            "FAILED_PRECONDITION",
            "Dockerfile:2: the command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3",
        ),
        (
            'FROM base\nRUN ["/nothing"]\n',
            "FAILED_PRECONDITION",
            "Dockerfile:2: the command '/nothing' could not be started",
        ),
        ("FROM base\nUSER nobody\nRUN true\n", "INVALID_ARGUMENT", "unable to find user nobody"),
        ("FROM 127.0.0.1:1/nowhere:1\n", "UNAVAILABLE", 'Dockerfile:1: failed to pull "127.0.0.1:1/nowhere:1"'),
        ("FROM base\nCOPY nothing /x\n", "INVALID_ARGUMENT", 'Dockerfile:2: "/nothing": not found'),
        ("FROM base\nCOPY --from=base /nothing /x\n", "INVALID_ARGUMENT", '"/nothing": not found'),
        ("FRUM base\n", "INVALID_ARGUMENT", "Dockerfile:1: unknown instruction: FRUM (did you mean FROM?)"),
        ("FROM base\nCOPY --chown=nobody src /x\n", "INVALID_ARGUMENT", "unable to find user nobody"),
        ("FROM base\nCOPY --chmod=9 src /x\n", "INVALID_ARGUMENT", "invalid chmod parameter"),
    ],
)
def test_failures(daemon: Any, context: Path, text: str, code: str, message: str) -> None:
    found, details = daemon.fails(text, context)
    assert message in details
    assert found is grpc.StatusCode[code]


def test_only_stages_that_are_needed_are_built(daemon: Any) -> None:
    text = "FROM base AS one\nRUN echo one\nFROM base AS two\nRUN echo two\nFROM one\n"
    assert "two" not in daemon.build(text).lines
    assert "one" not in daemon.build(text, target="two").lines


def test_add_of_an_archive_keeps_its_content_together(daemon: Any, context: Path) -> None:
    built = daemon.build("FROM base\nADD x.tgz /t/\nCOPY x.tgz /t/\nRUN find /t -type f | sort\n", context)
    assert [line for line in built.lines if line.startswith("/t")] == ["/t/src/a.txt", "/t/src/deep/b.md", "/t/x.tgz"]


def test_a_client_that_goes_away_ends_its_build(daemon: Any) -> None:
    running, ended = threading.Event(), threading.Event()

    def show(answer: Any) -> None:
        if answer.line == "running":
            running.set()
            raise KeyboardInterrupt

    def build() -> None:
        with pytest.raises(KeyboardInterrupt):
            daemon.build_with(show, "FROM base\nRUN echo running; touch /x; sleep 600\n")
        ended.set()

    thread = threading.Thread(target=build)
    thread.start()
    assert running.wait(20)
    thread.join(20)
    assert ended.is_set()
    daemon.until(lambda: daemon.left() == [], "the build's container and files to go")


def test_builds_at_the_same_time(daemon: Any) -> None:
    results: list[str] = []

    def build(number: int) -> None:
        results.append(daemon.build(f"FROM base\nRUN echo {number} > /n; sleep 0.2; cat /n\n").output)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(text.split("\n")[2] for text in results) == ["0", "1", "2", "3", "4", "5"]


def test_the_example_builds(daemon: Any, tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[3] / "deploy/examples/build"
    for name in ("Dockerfile", ".dockerignore"):
        (tmp_path / name).write_bytes((example / name).read_bytes())
    (tmp_path / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    built = daemon.build(
        (example / "Dockerfile").read_text(), tmp_path, args={"GREETING": "hi"}, tags=("example/web:1",)
    )
    assert config(daemon, built.id)["config"]["ExposedPorts"] == {"8080/tcp": {}}
    shown = daemon.build("FROM example/web:1\nRUN cat /www/index.html && sha256sum -c /www/index.html.sha256\n")
    assert {"<h1>hi</h1>", "index.html: OK"} <= set(shown.lines)


def test_what_is_exported_can_be_imported_and_built_on(daemon: Any, new_daemon: Any) -> None:
    built = daemon.build("FROM base\nRUN echo x > /x\n", tags=("exported:1",))
    source: Any = images_pb2_grpc.ImagesStub(daemon.channel)
    target: Any = images_pb2_grpc.ImagesStub(new_daemon.channel)
    data = b"".join(part.data for part in source.Export(images_pb2.ExportRequest(images=["exported:1", built.id])))
    answer = target.Import(iter([images_pb2.ImportRequest(data=data)]))
    assert set(answer.ids) == {built.id}
    assert "docker.io/library/exported:1" in answer.names
    assert "x" in new_daemon.build("FROM exported:1\nRUN cat /x\n").lines
    with pytest.raises(grpc.RpcError, match="not found"):
        list(source.Export(images_pb2.ExportRequest(images=["nothing:1"])))


def test_the_base_of_a_running_build_cannot_be_removed(daemon: Any) -> None:
    daemon.build("FROM base\nLABEL a=b\n", tags=("doomed:1",))
    images: Any = api_pb2_grpc.ImageServiceStub(daemon.channel)
    request = cri.RemoveImageRequest(image=cri.ImageSpec(image="doomed:1"))

    def show(answer: Any) -> None:
        if answer.line == "running":
            with pytest.raises(grpc.RpcError, match="in use"):
                images.RemoveImage(request)

    daemon.build_with(show, "FROM doomed:1\nRUN echo running; sleep 0.3\n", no_cache=True)
    images.RemoveImage(request)


def test_wildcards_may_match_nothing(daemon: Any, context: Path) -> None:
    built = daemon.build("FROM base\nCOPY *.none /x/\nCOPY *.none x.tgz /y/\nRUN ls -d /x || ls /y\n", context)
    assert " ---> Nothing matches *.none: nothing is copied" in built.lines
    assert built.lines.count("x.tgz") == 1


def test_secrets_reach_the_program_and_nothing_else(daemon: Any) -> None:
    text = (
        "FROM base\nUSER user\n"
        "RUN --mount=type=secret,id=token,uid=1000,required=true md5sum < /run/secrets/token\n"
        "USER root\nRUN --mount=type=secret,id=token,target=/t/x,mode=0440 stat -c %a /t/x; echo $(cat /t/x | wc -c)\n"
        "RUN --mount=type=secret,id=token,env=TOKEN echo ${#TOKEN}; [ ! -e /run/secrets/token ] && [ ! -e /t ]\n"
    )
    built = daemon.build(text, secrets={"token": b"hunter2"})
    assert "2ab96390c7dbe3439de74d0c9b0b1767  -" in built.lines
    assert {"440", "7"} <= set(built.lines)
    assert daemon.build(text, secrets={"token": b"another"}).id == built.id
    grep = subprocess.run(["grep", "-rl", "hunter2", str(daemon.base / "root")], capture_output=True, text=True)
    assert grep.stdout == ""


def test_limits_of_a_layer_are_errors_that_leave_nothing(daemon: Any) -> None:
    _, message = daemon.fails("FROM base\nRUN p=/; for i in $(seq 250); do p=$p/d; done; mkdir -p $p\n")
    assert "directories are nested more than 200 deep" in message
    _, message = daemon.fails("FROM base\n" + "".join(f"COPY <<F /f{number}\nF\n" for number in range(130)))
    assert "max depth exceeded: an image has at most 127 layers" in message


def test_names_whiteouts_and_sparse_files_survive_the_store(daemon: Any) -> None:
    text = (
        "FROM base\nRUN mkdir /gone /x && touch /gone/y /x/old \"$(printf '/x/a\\012b')\" \"$(printf '/x/\\377')\"\n"
        "RUN rm -rf /gone /x/old && truncate -s 50M /sparse && ln -s /x /link\n"
    )
    daemon.build(text, tags=("odd:1",))
    probe = "FROM odd:1\nRUN ls -A /x | wc -l; ls -d /gone 2>/dev/null || echo no; stat -c %s /sparse; du -k /sparse\n"
    built = daemon.build(probe)
    assert {"2", "no", str(50 << 20)} <= set(built.lines)
    used = next(line for line in built.lines if line.endswith("\t/sparse"))
    assert int(used.split()[0]) < 1024
