"""What goes on when the agent, the runtime or the control plane does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from knarr_api.types.core_v1 import (
    ConfigMap,
    ConfigMapKeySelector,
    ConfigMapVolumeSource,
    Container,
    EnvVar,
    EnvVarSource,
    ExecAction,
    Pod,
    PodSpec,
    Probe,
    Volume,
    VolumeMount,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.memory_cri import Program

OnNode = Callable[[Callable[[Any], Any]], None]
Make = Callable[..., Container]
replace = msgspec.structs.replace


def test_restarted_agent_adopts_what_runs(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        probe = Probe(exec_=ExecAction(command=("check",)), period_seconds=10)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(readiness_probe=probe),)))
            await node.until_ready()
        before = node.cri.find("web/main").id
        node.reports.clear()
        async with node.agent():
            await node.clock.sleep(60)
            assert node.cri.find("web/main").id == before
            assert len(node.cri.containers) == 1
            ready = [s.ready for report in node.reports for s in report.status.container_statuses]
            assert all(ready), "it was ready before and stays so"

    on_node(scenario)


def test_agent_without_control_plane_goes_on_after_its_own_restart(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        await node.admin.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default"), data={"k": "v"}))
        reference = EnvVarSource(config_map_key_ref=ConfigMapKeySelector(name="c", key="k"))
        env = (EnvVar(name="K", value_from=reference),)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(env=env),)))
            await node.until_ready()
        node.link.connected = False
        async with node.agent():
            await node.clock.sleep(1)
            node.cri.end("web/main", 1)
            await node.until(lambda: node.cri.running() == ["web/main"], 5)
            assert {e.key: e.value for e in node.cri.find("web/main").config.envs}["K"] == b"v"
            await node.clock.sleep(300)
            assert node.cri.running() == ["web/main"]
            node.link.connected = True

            async def told() -> bool:
                return bool((await node.container()).restart_count == 1)

            await node.until(told, 30)

    on_node(scenario)


def test_nothing_is_ended_before_the_assignments_were_listed(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
        for path in (node.directory / "pods").glob("*/pod.json"):
            path.unlink()
        node.link.connected = False
        async with node.agent():
            await node.clock.sleep(120)
            assert node.cri.running() == ["web/main"]
            node.link.connected = True
            await node.until_ready(within_s=30)
            assert node.cri.running() == ["web/main"]
            assert len(node.cri.containers) == 1

    on_node(scenario)


def test_pod_that_was_taken_away_meanwhile_is_ended(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)), "old")
            await node.until_ready("old")
            await node.create(PodSpec(containers=(a_container(),)), "kept")
            await node.until_ready("kept")
        await node.admin.delete(Pod, "old", "default", grace_period_s=0)
        async with node.agent():
            await node.until(lambda: node.cri.running() == ["kept/main"], 40)
            await node.until(lambda: len(node.cri.sandboxes) == 1, 5)
            await node.clock.sleep(1)
            assert len(list((node.directory / "pods").iterdir())) == 1

    on_node(scenario)


def test_pod_of_another_uid_takes_the_place_of_its_namesake(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            first = await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            node.link.connected = False
            await node.admin.delete(Pod, "web", "default", grace_period_s=0)
            second = await node.create(PodSpec(containers=(a_container(),)))
            assert first.metadata.uid != second.metadata.uid
            await node.clock.sleep(5)
            node.link.connected = True
            await node.until_ready(within_s=30)

            def only_second() -> bool:
                uids = {s.config.metadata.uid for s in node.cri.sandboxes.values()}
                return uids == {second.metadata.uid}

            await node.until(only_second, 40)

    on_node(scenario)


def test_lost_runtime_is_waited_for_and_nothing_restarts(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        liveness = Probe(exec_=ExecAction(command=("check",)), period_seconds=1, failure_threshold=1)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(liveness_probe=liveness),)))
            await node.until_ready()
            before = node.cri.find("web/main").id
            node.cri.is_down = True
            node.cri.break_events()
            await node.clock.sleep(60)
            node.cri.is_down = False
            await node.clock.sleep(30)
            assert node.cri.find("web/main").id == before
            assert (await node.container()).restart_count == 0

    on_node(scenario)


def test_container_that_ended_while_the_runtime_was_away_starts_soon_after(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            node.cri.is_down = True
            node.cri.break_events()
            await node.clock.sleep(60)
            node.cri.end("web/main", 9)
            node.cri.is_down = False
            began_s = node.clock.monotonic()
            assert await node.until(lambda: node.cri.running() == ["web/main"], 5) - began_s < 1.0
            await node.clock.sleep(0.5)
            assert (await node.container()).last_state.terminated.exit_code == 9

    on_node(scenario)


def test_lost_event_is_made_up_for_by_the_round(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            await node.clock.sleep(1)
            listeners, node.cri._listeners[:] = tuple(node.cri._listeners), []
            node.cri.end("web/main", 1)
            node.cri._listeners[:] = listeners
            await node.until(lambda: node.cri.running() == ["web/main"], 20)

    on_node(scenario)


def test_finished_pod_stays_finished_when_the_runtime_loses_all(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["main"] = Program(runs_s=1.0)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),), restart_policy="Never"), "done")
            await node.until_phase("Succeeded", "done")
            node.cri.programs["main"] = Program()
            await node.create(PodSpec(containers=(a_container(),), restart_policy="Never"), "once")
            await node.create(PodSpec(containers=(a_container(),)), "always")
            await node.until_ready("always")
            await node.until_ready("once")
            await node.clock.sleep(20)
        node.cri.containers.clear()
        node.cri.sandboxes.clear()
        async with node.agent():
            await node.until_ready("always", 30)
            await node.clock.sleep(60)
            assert node.cri.running() == ["always/main"]
            assert (await node.pod("done")).status.phase == "Succeeded"
            assert (await node.pod("once")).status.phase == "Failed"
            assert (await node.container(name="once")).state.terminated.reason == "ContainerStatusUnknown"
            assert (await node.container(name="always")).restart_count == 1

    on_node(scenario)


def test_changed_config_map_reaches_the_running_volume(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        made = await node.admin.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default"), data={"k": "1"}))
        volume = Volume(name="v", config_map=ConfigMapVolumeSource(name="c"))
        mount = VolumeMount(name="v", mount_path="/v")
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(volume_mounts=(mount,)),), volumes=(volume,)))
            await node.until_ready()
            (path,) = (node.directory / "pods").glob("*/volumes/v/k")
            assert path.read_text() == "1"
            await node.admin.update(replace(made, data={"k": "2"}))
            await node.until(lambda: path.read_text() == "2", 40)
            assert node.cri.find("web/main").config.metadata.attempt == 0

    on_node(scenario)


def test_probes_decide_about_readiness_and_restarts(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        answers = {"ready": 1, "live": 0, "begun": 1}
        node.cri.programs["main"] = Program(exec=lambda command: answers[command[0]])
        container = a_container(
            startup_probe=Probe(exec_=ExecAction(command=("begun",)), period_seconds=5, failure_threshold=10),
            readiness_probe=Probe(exec_=ExecAction(command=("ready",)), period_seconds=2),
            liveness_probe=Probe(exec_=ExecAction(command=("live",)), period_seconds=2, failure_threshold=3),
        )
        async with node.agent():
            await node.create(PodSpec(containers=(container,), termination_grace_period_seconds=1))
            await node.clock.sleep(10)
            assert ("live",) not in node.cri.executed, "not before it has started"
            assert not (await node.container()).started
            answers["begun"] = 0
            await node.clock.sleep(6)
            assert (await node.container()).started
            assert not (await node.container()).ready
            answers["ready"] = 0
            await node.until_ready(within_s=3)
            answers["ready"] = 1
            await node.clock.sleep(7)
            assert await node.condition("Ready") == "False"
            answers.update(live=1, ready=0)
            await node.clock.sleep(10)
            assert (await node.container()).restart_count == 1
            events = await node.events()
            assert "Unhealthy" in events
            assert "Killing" in events

    on_node(scenario)


def test_status_that_was_overwritten_is_told_again_and_only_then(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            await node.clock.sleep(60)
            count = len(node.reports)
            await node.clock.sleep(300)
            assert len(node.reports) == count, "nothing new, nothing said"
            pod = await node.pod()
            conditions = tuple(replace(c, status="False") for c in pod.status.conditions)
            await node.admin.update_status(replace(pod, status=replace(pod.status, conditions=conditions)))
            assert await node.condition("Ready") == "False"
            await node.until_ready(within_s=40)

    on_node(scenario)


def test_sandbox_that_can_not_be_made_is_said_and_tried_again(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.sandbox_error = "no address left"
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.clock.sleep(3)
            waiting = (await node.container()).state.waiting
            assert waiting.reason == "ContainerCreating"
            assert "no address left" in waiting.message
            assert "FailedCreatePodSandBox" in await node.events()
            node.cri.sandbox_error = ""
            await node.until_ready(within_s=30)

    on_node(scenario)


def test_pod_deleted_before_it_could_start_is_gone(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.sandbox_error = "not now"
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.clock.sleep(1)
            await node.admin.delete(Pod, "web", "default")
            await node.until_gone(within_s=5)

    on_node(scenario)
