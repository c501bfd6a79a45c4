"""What an agent can be told on its command line."""

from __future__ import annotations

import pytest

from knarr_client import channel
from knarr_client.kubeconfig import Access
from knarr_node_agent import settings

REQUIRED = ("--data-dir", "/nowhere", "--server", "127.0.0.1:1")


def test_a_silent_control_plane_is_asked_as_often_as_was_set() -> None:
    given = settings.parse([*REQUIRED, "--keepalive", "10"])

    access = Access(endpoints=given.servers, ca_pem=b"")

    assert ("grpc.keepalive_time_ms", 10_000) in channel.options(access, given.keepalive_s)
    assert ("grpc.keepalive_time_ms", 4_000) in channel.options(access, settings.parse(REQUIRED).keepalive_s)


def test_a_control_plane_is_not_asked_all_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings.parse([*REQUIRED, "--keepalive", "0"])

    assert "--keepalive 0: must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--server", "control-plane"), '--server "control-plane": expected HOST:PORT'),
        (("--server", ","), '--server ",": expected HOST:PORT'),
        (("--server", "a:1,b:0"), '--server "a:1,b:0": expected HOST:PORT'),
        (("--max-pods", "-3"), "--max-pods -3: must not be negative"),
        (("--node-ip", "eth0"), '--node-ip "eth0": expected an IP address'),
    ],
)
def test_what_can_not_be_is_refused_by_its_name(
    capsys: pytest.CaptureFixture[str], given: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.parse([*REQUIRED, *given])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err
