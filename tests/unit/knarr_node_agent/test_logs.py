"""Reading and rotating logs."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import NotFound
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock
from knarr_node_agent import logs
from knarr_node_agent.log_rotation import tidy
from knarr_node_agent.logs import Asked, read


def line(second: int, text: str, tag: str = "F") -> str:
    return f"2030-01-01T00:00:{second:02}.500000000Z stdout {tag} {text}\n"


def collect(path: Path, asked: Asked) -> str:
    async def scenario(clock: VirtualClock) -> bytes:
        return b"".join([data async for data in read(path, asked, lambda: True, clock)])

    return virtual_time.run(scenario).decode()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_text("".join(line(second, f"line {second}") for second in range(10)))
    return path


def test_whole_log(log: Path) -> None:
    assert collect(log, Asked()).splitlines() == [f"line {n}" for n in range(10)]


def test_tail_since_limit_and_timestamps(log: Path) -> None:
    assert collect(log, Asked(tail_lines=2)) == "line 8\nline 9\n"
    assert collect(log, Asked(tail_lines=0)) == ""
    assert collect(log, Asked(tail_lines=99)).count("\n") == 10
    since = datetime.datetime(2030, 1, 1, 0, 0, 8, tzinfo=datetime.UTC)
    assert collect(log, Asked(since=since)) == "line 8\nline 9\n"
    assert collect(log, Asked(limit_bytes=10)) == "line 0\nlin"
    assert collect(log, Asked(tail_lines=1, timestamps=True)) == "2030-01-01T00:00:09.500000000Z line 9\n"


def test_pieces_of_a_long_line_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(line(0, "abc", "P") + line(0, "def", "P") + line(0, "ghi"))
    assert collect(path, Asked()) == "abcdefghi\n"


def test_a_long_line_has_one_time(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(line(0, "abc", "P") + line(2, "def") + line(3, "ghi"))
    stamps = ("2030-01-01T00:00:00.500000000Z", "2030-01-01T00:00:03.500000000Z")
    assert collect(path, Asked(timestamps=True)) == f"{stamps[0]} abcdef\n{stamps[1]} ghi\n"
    since = datetime.datetime(2030, 1, 1, 0, 0, 1, tzinfo=datetime.UTC)
    assert collect(path, Asked(since=since)) == "ghi\n"


def test_missing_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        collect(tmp_path / "main" / "0.log", Asked())


@pytest.fixture
def factory(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    return tmp_path_factory


@given(count=st.integers(0, 30), wanted=st.integers(0, 30), width=st.integers(1, 40))
def test_tail_is_what_the_last_lines_are(
    tmp_path_factory: pytest.TempPathFactory, count: int, wanted: int, width: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "0.log"
    texts = [f"{number}:" + "x" * (number * width * 97 % 9000) for number in range(count)]
    path.write_text("".join(line(number, text) for number, text in enumerate(texts)))
    assert collect(path, Asked(tail_lines=wanted)).splitlines() == (texts[-wanted:] if wanted else [])


def test_following_goes_over_to_the_file_after_a_rotation(log: Path) -> None:
    async def scenario(clock: VirtualClock) -> bytes:
        found = bytearray()
        ended = asyncio.Event()

        async def follow() -> None:
            async for data in read(log, Asked(follow=True, tail_lines=1), ended.is_set, clock):
                found.extend(data)

        following = asyncio.create_task(follow())
        await clock.sleep(1)
        with log.open("a") as old:
            os.rename(log, log.with_name("0.log.1"))
            await clock.sleep(1)
            old.write(line(10, "late in the old file"))
        log.write_text(line(11, "first in the new file"))
        await clock.sleep(1)
        with log.open("a") as new:
            new.write(line(12, "last"))
        await clock.sleep(1)
        ended.set()
        await following
        return bytes(found)

    assert virtual_time.run(scenario).decode().splitlines() == [
        "line 9",
        "late in the old file",
        "first in the new file",
        "last",
    ]


def test_rotated_logs_are_compressed_and_the_oldest_removed(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text("now")
    for number in range(6):
        (tmp_path / f"0.log.2030010{number}-000000").write_text(str(number))
    tidy(path, 5)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["0.log", *(f"0.log.2030010{number}-000000.gz" for number in (3, 4, 5))]
    assert gzip.decompress((tmp_path / left[-1]).read_bytes()) == b"5"
    assert logs.MAX_LINE_BYTES < 10 << 20
