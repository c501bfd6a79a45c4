"""What the agent relies on of any container runtime."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from knarr_api.errors import KnarrError, NotFound
from knarr_node_agent.memory_cri import Program
from knarr_node_agent.podmachine.world import ContainerState

EXITS_3 = {"script": "exit 3", "program": Program(runs_s=0.0, exit_code=3)}


async def test_version_and_health(subject: Any) -> None:
    name, version = await subject.runtime.version()
    assert name
    assert version
    assert await subject.runtime.problems() == []


async def test_unknown_pod_has_nothing(subject: Any) -> None:
    state = await subject.runtime.pod("u0")
    assert state.empty
    assert "u0" not in await subject.runtime.pods()


async def test_sandbox_and_container_are_seen_as_they_are(subject: Any) -> None:
    sandbox = await subject.sandbox("u1", attempt=2)
    created = await subject.container(sandbox, "one", attempt=4)
    started = await subject.container(sandbox, "two")
    await subject.runtime.start(started)
    state = await subject.runtime.pod("u1")
    assert (state.name, state.namespace) == ("pod-u1", "default")
    (seen,) = state.sandboxes
    assert (seen.id, seen.attempt, seen.ready) == (sandbox[0], 2, True)
    assert seen.ip
    (one,), (two,) = state.runs["one"], state.runs["two"]
    assert (one.id, one.attempt, one.state, one.sandbox_id) == (created, 4, ContainerState.CREATED, sandbox[0])
    assert one.started_at is None
    assert (two.id, two.state) == (started, ContainerState.RUNNING)
    assert two.started_at is not None
    assert "u1" in await subject.runtime.pods()


async def test_pods_do_not_see_each_other(subject: Any) -> None:
    first, second = await subject.sandbox("u1"), await subject.sandbox("u2")
    await subject.container(first)
    await subject.container(second)
    assert [s.id for s in (await subject.runtime.pod("u2")).sandboxes] == [second[0]]
    assert len((await subject.runtime.pod("u2")).runs["main"]) == 1
    assert await subject.runtime.pods() >= {"u1", "u2"}


async def test_exit_code_and_times_stay(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    identifier = await subject.container(sandbox, **EXITS_3)
    await subject.runtime.start(identifier)
    run = await ended(subject, "u1", identifier)
    assert (run.exit_code, run.reason) == (3, "Error")
    assert run.started_at is not None
    assert run.finished_at >= run.started_at
    again = await subject.container(sandbox, attempt=1)
    await subject.runtime.start(again)
    runs = (await subject.runtime.pod("u1")).runs["main"]
    assert [(r.attempt, r.state) for r in runs] == [(0, ContainerState.EXITED), (1, ContainerState.RUNNING)]


async def test_end_is_told_by_an_event(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    identifier = await subject.container(sandbox)
    await subject.runtime.start(identifier)
    told: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for uid in subject.runtime.events():
            told.put_nowait(uid)

    listening = asyncio.create_task(listen())
    number = 0
    while told.empty():  # until the stream is open
        number += 1
        await subject.sandbox(f"w{number}")
        await asyncio.sleep(0.01)
    await subject.runtime.stop(identifier, 0)
    async with asyncio.timeout(10):
        while await told.get() != "u1":
            continue
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_stop_asks_first_and_kills_after_the_grace(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    polite = await subject.container(
        sandbox,
        "polite",
        script="trap 'exit 7' TERM; while true; do sleep 0.05; done",
        program=Program(stop_code=7),
    )
    deaf = await subject.container(
        sandbox, "deaf", script="trap '' TERM; while true; do sleep 0.05; done", program=Program(stops_after_s=None)
    )
    for identifier in (polite, deaf):
        await subject.runtime.start(identifier)
    await asyncio.sleep(0.3)
    await subject.runtime.stop(polite, 10)
    await subject.runtime.stop(deaf, 1)
    assert (await ended(subject, "u1", polite)).exit_code == 7
    assert (await ended(subject, "u1", deaf)).exit_code == 137


async def test_doing_it_twice_is_fine(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    identifier = await subject.container(sandbox)
    await subject.runtime.start(identifier)
    for _ in range(2):
        await subject.runtime.stop(identifier, 0)
    for _ in range(2):
        await subject.runtime.remove(identifier)
    for _ in range(2):
        await subject.runtime.stop_sandbox(sandbox[0])
    for _ in range(2):
        await subject.runtime.remove_sandbox(sandbox[0])
    assert (await subject.runtime.pod("u1")).empty


async def test_sandbox_takes_its_containers_with_it(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    identifier = await subject.container(sandbox)
    await subject.runtime.start(identifier)
    await subject.runtime.stop_sandbox(sandbox[0])
    state = await subject.runtime.pod("u1")
    assert not state.sandboxes[0].ready
    assert state.runs["main"][0].state is ContainerState.EXITED
    await subject.runtime.remove_sandbox(sandbox[0])
    assert (await subject.runtime.pod("u1")).empty


async def test_running_container_can_be_removed(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    identifier = await subject.container(sandbox)
    await subject.runtime.start(identifier)
    await subject.runtime.remove(identifier)
    assert not (await subject.runtime.pod("u1")).runs


async def test_exec_gives_the_exit_code(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    program = Program(exec=lambda command: 0 if command[0] == "true" else 1)
    identifier = await subject.container(sandbox, program=program)
    await subject.runtime.start(identifier)
    assert (await subject.runtime.exec(identifier, ("true",), 5.0))[0] == 0
    assert (await subject.runtime.exec(identifier, ("false",), 5.0))[0] == 1
    with pytest.raises(NotFound):
        await subject.runtime.exec("0" * 64, ("true",), 5.0)


async def test_images(subject: Any) -> None:
    assert await subject.runtime.image("knarr/busybox:1") is not None
    assert await subject.runtime.image("knarr/nothere:1") is None
    sandbox = await subject.sandbox("u1")
    with pytest.raises(KnarrError):
        await subject.container(sandbox, image="knarr/nothere:1")
    with pytest.raises(KnarrError):
        await subject.runtime.pull("example.invalid/nothere:1")


async def test_program_that_can_not_be_executed_is_an_error_and_no_running_container(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    text = 'exec: "nothere": executable file not found in $PATH'
    identifier = await subject.container(sandbox, command=("nothere",), program=Program(start_error=text))
    with pytest.raises(KnarrError, match="executable file not found"):
        await subject.runtime.start(identifier)
    (run,) = (await subject.runtime.pod("u1")).runs["main"]
    assert run.state in (ContainerState.CREATED, ContainerState.EXITED)


async def test_one_attempt_can_not_be_created_twice(subject: Any) -> None:
    sandbox = await subject.sandbox("u1")
    await subject.container(sandbox)
    with pytest.raises(KnarrError):
        await subject.container(sandbox)
    assert len((await subject.runtime.pod("u1")).runs["main"]) == 1


async def ended(subject: Any, uid: str, identifier: str) -> Any:
    """The run once it has ended."""

    async def look() -> Any:
        runs = (await subject.runtime.pod(uid)).runs.values()
        return next((r for each in runs for r in each if r.id == identifier and r.state is ContainerState.EXITED), None)

    await subject.until(look)
    return await look()
