"""What users write after options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.cli import mounting, parsing
from knarr_runtime.cli.parsing import Port, Volume
from knarr_runtime.errors import Invalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64m", 64 << 20), ("1.5g", 3 << 29), ("1024", 1024), ("2KiB", 2048), ("10MB", 10 << 20), ("7b", 7)],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    assert parsing.size(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-1", "1.m", "64mm", "64 q", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no size"):
        parsing.size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:80", [Port(host_ip="", host_port=8080, container_port=80, protocol="tcp")]),
        ("80/udp", [Port(host_ip="", host_port=80, container_port=80, protocol="udp")]),
        ("127.0.0.1:53:53/UDP", [Port(host_ip="127.0.0.1", host_port=53, container_port=53, protocol="udp")]),
        ("127.0.0.1::53", [Port(host_ip="127.0.0.1", host_port=53, container_port=53, protocol="tcp")]),
        (
            "7000-7001:8000-8001",
            [
                Port(host_ip="", host_port=7000, container_port=8000, protocol="tcp"),
                Port(host_ip="", host_port=7001, container_port=8001, protocol="tcp"),
            ],
        ),
    ],
)
def test_ports_are_read(text: str, expected: list[Port]) -> None:
    assert list(parsing.port(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "0:80", "80:0", "80:70000", "1:2:3:4", "80/xyz", "1-3:1-2", "5-1", "1-65535"]
)
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="port"):
        parsing.port(text)


def test_volumes_are_read() -> None:
    assert mounting.volume("/a:/b") == Volume(source="/a", target="/b")
    assert mounting.volume("/a:/b:ro,rslave") == Volume(source="/a", target="/b", readonly=True, propagation="rslave")
    assert mounting.volume("data:/b").named


@pytest.mark.parametrize("text", ["", "a", "/a:b", ":/b", "/a:/b:rx", "../a:/b", "a/b:/c", "/a:/b:ro:rw"])
def test_what_is_no_volume_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="volume"):
        mounting.volume(text)


def test_the_environment_is_taken_from_files_then_options_then_our_own() -> None:
    own = {"HOME": "/root", "UNUSED": "1"}
    found = parsing.environment(("B=2", "HOME", "MISSING"), ("# note\nA=1\n\nB=1\n",), own)
    assert dict(found) == {"A": "1", "B": "2", "HOME": "/root"}


def test_durations_are_read() -> None:
    assert parsing.duration_s("90") == 90
    assert parsing.duration_s("2h30m1.5s") == 9001.5
    with pytest.raises(Invalid):
        parsing.duration_s("2h and more")


@given(st.text(max_size=30))
def test_anything_is_read_or_refused(text: str) -> None:
    for read in (parsing.size, parsing.port, mounting.volume, parsing.duration_s, parsing.cpus, parsing.container_name):
        try:
            read(text)
        except Invalid as error:
            assert str(error)
