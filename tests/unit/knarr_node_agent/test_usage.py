"""Rates from samples, and the machine's own figures."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import Unavailable
from knarr_client import virtual_time
from knarr_client.clock import SystemClock
from knarr_node_agent.usage import INTERVAL_S, ContainerSample, NodeSample, UsageReporter, read_node, usage

S = 10**9
NODE = (NodeSample(at_s=0.0, cpu_s=5.0, memory_bytes=1), NodeSample(at_s=10.0, cpu_s=20.0, memory_bytes=7))


def sample(at_s, cpu_s, *, pod="p", name="c", memory=100):
    return ContainerSample(
        id=f"{pod}/{name}",
        name=name,
        namespace="default",
        pod=pod,
        uid=f"uid of {pod}",
        at_ns=int(at_s * S),
        cpu_ns=int(cpu_s * S),
        memory_bytes=memory,
    )


def by_id(*samples):
    return {each.id: each for each in samples}


def test_a_rate_is_the_difference_of_two_samples():
    told = usage(by_id(sample(10, 1)), by_id(sample(20, 6, memory=300)), NODE)
    assert (told.window_ms, told.node.cpu_nano_cores, told.node.memory_bytes) == (10_000, 1.5 * S, 7)
    (pod,) = told.pods
    assert (pod.namespace, pod.name, pod.uid) == ("default", "p", "uid of p")
    (container,) = pod.containers
    assert (container.name, container.amounts.cpu_nano_cores, container.amounts.memory_bytes) == ("c", S // 2, 300)


def test_a_pod_is_told_of_when_all_its_containers_have_two_samples():
    before = by_id(sample(10, 1), sample(10, 1, pod="other"))
    told = usage(before, by_id(sample(20, 2), sample(20, 2, name="late"), sample(20, 2, pod="other")), NODE)
    assert [pod.name for pod in told.pods] == ["other"]


@given(st.integers(1, 60), st.integers(0, 600), st.integers(0, 600))
def test_rates_are_never_negative(apart_s, first, second):
    told = usage(by_id(sample(0, first)), by_id(sample(apart_s, second)), NODE)
    assert told.pods[0].containers[0].amounts.cpu_nano_cores == max(second - first, 0) * S // apart_s


def test_the_machine_uses_something():
    read = read_node(SystemClock())
    assert read.cpu_s > 0 and read.memory_bytes > 0


def test_it_reports_soon_then_at_intervals_and_goes_on_when_the_runtime_is_away():
    async def scenario(clock):
        told, fails = [], []

        async def samples():
            if fails:
                raise Unavailable("down")
            return by_id(sample(clock.monotonic() + 1, 1))

        reporter = UsageReporter(samples, clock, lambda message: told.append((clock.monotonic(), message)))
        running = asyncio.create_task(reporter.run())
        await clock.sleep(5)
        assert [len(message.pods) for _, message in told] == [0, 1]
        await clock.sleep(2 * INTERVAL_S)
        assert len(told) == 4
        fails.append(True)
        await clock.sleep(INTERVAL_S)
        fails.clear()
        await clock.sleep(INTERVAL_S)
        assert len(told) == 5
        running.cancel()

    virtual_time.run(scenario)
