"""What holds of every pod, however its containers fare: a random world is decided about, acted upon, decided again."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import Pod, PodSpec, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.backoff import Streak
from knarr_node_agent.podmachine.decide import (
    MakeSandbox,
    Plan,
    RemoveContainer,
    RemoveSandbox,
    Start,
    Stop,
    StopSandbox,
    decide,
)
from knarr_node_agent.podmachine.status import status
from knarr_node_agent.podmachine.table import TABLE, Seen, Stage, Verb
from knarr_node_agent.podmachine.world import Container, ContainerState, Health, Sandbox, World

EPOCH = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Machine:
    """A node with one pod: carries plans out at once, in the simplest way."""

    world: World
    now: datetime.datetime = EPOCH
    made: int = 0
    reported: PodStatus = field(default_factory=PodStatus)
    streaks: dict[str, Streak] | None = None

    def act(self, plan: Plan) -> None:
        for action in plan.actions:
            match action:
                case MakeSandbox(attempt):
                    sandbox = Sandbox(id=self.name("s"), attempt=attempt, ready=True, ip="10.0.0.2")
                    self.world = replace(self.world, sandboxes=(*self.world.sandboxes, sandbox))
                case StopSandbox(identifier):
                    found = tuple(replace(s, ready=s.ready and s.id != identifier) for s in self.world.sandboxes)
                    self.world = replace(self.world, sandboxes=found)
                case RemoveSandbox(identifier):
                    left = tuple(s for s in self.world.sandboxes if s.id != identifier)
                    runs = {n: tuple(r for r in rs if r.sandbox_id != identifier) for n, rs in self.world.runs.items()}
                    self.world = replace(self.world, sandboxes=left, runs={n: rs for n, rs in runs.items() if rs})
                case Start():
                    self.start(action)
                case Stop(run, _, _):
                    self.change(run.id, state=ContainerState.EXITED, exit_code=143, finished_at=self.now)
                case RemoveContainer(run):
                    self.drop(run.id)
        self.count()

    def start(self, action: Start) -> None:
        if action.replaces:
            self.drop(action.replaces)
        name = action.container.name
        run = Container(
            id=self.name("c"),
            name=name,
            attempt=action.attempt,
            sandbox_id=action.sandbox_id,
            state=ContainerState.RUNNING,
            image=action.container.image,
            started_at=self.now,
        )
        self.world = replace(self.world, runs={**self.world.runs, name: (*self.world.runs.get(name, ()), run)})

    def count(self) -> None:
        streaks = dict(self.streaks or {})
        for name, runs in self.world.runs.items():
            if runs:
                streaks[name] = backoff.counted(streaks.get(name), runs[-1])
        self.streaks = streaks
        self.world = replace(self.world, streaks={name: streak.count for name, streak in streaks.items()})

    def report(self) -> None:
        self.reported = status(self.world, self.reported, self.now, host_ip="192.0.2.1")
        phase = self.reported.phase if self.reported.phase in ("Succeeded", "Failed") else ""
        self.world = replace(self.world, phase=phase)

    def settle(self, limit: int = 60) -> Plan:
        """Act until nothing is left to do now."""
        for _ in range(limit):
            plan = decide(self.world, self.now)
            if not plan.actions:
                return plan
            self.act(plan)
            self.report()
        raise AssertionError(f"never settles: {plan}")

    def end(self, run: Container, code: int) -> None:
        self.change(run.id, state=ContainerState.EXITED, exit_code=code, finished_at=self.now)
        self.count()

    def change(self, identifier: str, **fields: object) -> None:
        runs = {
            name: tuple(replace(run, **fields) if run.id == identifier else run for run in each)  # type: ignore[arg-type]
            for name, each in self.world.runs.items()
        }
        self.world = replace(self.world, runs=runs)

    def drop(self, identifier: str) -> None:
        runs = {name: tuple(run for run in each if run.id != identifier) for name, each in self.world.runs.items()}
        self.world = replace(self.world, runs={name: each for name, each in runs.items() if each})

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"


def specs(prefix: str, most: int, least: int) -> st.SearchStrategy[tuple[ContainerSpec, ...]]:
    sidecar = st.sampled_from(["", "", "Always"]) if prefix == "i" else st.just("")
    return st.lists(sidecar, min_size=least, max_size=most).map(
        lambda policies: tuple(
            ContainerSpec(name=f"{prefix}{number}", image="busybox", restart_policy=policy)
            for number, policy in enumerate(policies)
        )
    )


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    spec = PodSpec(
        containers=draw(specs("m", 3, 1)),
        init_containers=draw(specs("i", 3, 0)),
        restart_policy=draw(st.sampled_from(["Always", "OnFailure", "Never"])),
    )
    return Pod(metadata=ObjectMeta(name="p", namespace="default", uid="u"), spec=spec)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["end", "sandbox dies", "time", "sick", "unknown", "created"]),
        st.integers(0, 5),
        st.sampled_from([0, 0, 1, 137]),
    ),
    max_size=25,
)


def play(pod: Pod, steps: list[tuple[str, int, int]]) -> Machine:
    """Let things happen to a pod, with the machine acting after each."""
    machine = Machine(World(pod=pod))
    machine.settle()
    machine.report()
    for what, which, code in steps:
        running = machine.world.running
        run = running[which % len(running)] if running else None
        if what == "time":
            machine.now += datetime.timedelta(seconds=(1, 9, 11, 100, 400, 2000)[which])
        elif what == "sandbox dies":
            dead = tuple(replace(sandbox, ready=False) for sandbox in machine.world.sandboxes)
            machine.world = replace(machine.world, sandboxes=dead)
            for each in running:
                machine.end(each, 137)
        elif run is not None and what == "end":
            machine.end(run, code)
        elif run is not None and what == "sick":
            machine.world = replace(machine.world, health={run.id: Health(failed="failed liveness probe")})
        elif run is not None and what in ("unknown", "created"):
            machine.change(run.id, state=ContainerState(what))
        machine.report()
        check_never_main_before_init(machine)
        machine.settle()
    return machine


def check_never_main_before_init(machine: Machine) -> None:
    plan = decide(machine.world, machine.now)
    starts = [action for action in plan.actions if isinstance(action, Start)]
    mains = {container.name for container in machine.world.pod.spec.containers}
    sandbox = machine.world.sandbox
    if sandbox is None or not any(start.container.name in mains for start in starts):
        return
    begun = [machine.world.newest(name) for name in mains]
    if any(run is not None and run.sandbox_id == sandbox.id for run in begun):
        return
    for container in machine.world.pod.spec.init_containers:
        run = machine.world.newest(container.name)
        assert run is not None
        assert run.sandbox_id == sandbox.id
        if container.restart_policy != "Always":
            assert run.state is ContainerState.EXITED
            assert run.exit_code == 0


def test_table_is_complete() -> None:
    for stage in Stage:
        assert set(TABLE[stage]) == set(Seen)
        assert TABLE[stage][Seen.STOPPING] is Verb.KEEP


@given(pods(), STEPS)
@settings(deadline=None, max_examples=150)
def test_deciding_twice_changes_nothing(pod: Pod, steps: list[tuple[str, int, int]]) -> None:
    machine = play(pod, steps)
    assert decide(machine.world, machine.now) == decide(machine.world, machine.now)
    assert not decide(machine.world, machine.now).actions


@given(pods(), STEPS)
@settings(deadline=None, max_examples=150)
def test_never_two_runs_of_a_container_nor_two_sandboxes(pod: Pod, steps: list[tuple[str, int, int]]) -> None:
    machine = play(pod, steps)
    for runs in machine.world.runs.values():
        assert sum(run.state is ContainerState.RUNNING for run in runs) <= 1
        assert len({run.attempt for run in runs}) == len(runs)
        assert sum(run.state is ContainerState.EXITED for run in runs) <= 2
    assert sum(sandbox.ready for sandbox in machine.world.sandboxes) <= 1


@given(pods(), STEPS)
@settings(deadline=None, max_examples=150)
def test_ending_always_ends(pod: Pod, steps: list[tuple[str, int, int]]) -> None:
    machine = play(pod, steps)
    machine.world = replace(machine.world, ending=True, grace_s=5)
    plan = machine.settle()
    assert plan.gone
    assert not machine.world.sandboxes
    assert not machine.world.running


@given(pods(), STEPS)
@settings(deadline=None, max_examples=150)
def test_final_phase_is_final_and_nothing_runs_in_it(pod: Pod, steps: list[tuple[str, int, int]]) -> None:
    machine = play(pod, steps)
    if machine.reported.phase not in ("Succeeded", "Failed"):
        return
    phase = machine.reported.phase
    assert pod.spec.restart_policy != "Always"
    machine.now += datetime.timedelta(days=1)
    machine.settle()
    assert machine.reported.phase == phase
    assert not machine.world.running
    assert not any(sandbox.ready for sandbox in machine.world.sandboxes)


@given(pods(), STEPS)
@settings(deadline=None, max_examples=150)
def test_pod_that_must_run_runs_again_after_the_longest_wait(pod: Pod, steps: list[tuple[str, int, int]]) -> None:
    machine = play(pod, steps)
    if pod.spec.restart_policy != "Always":
        return
    for _ in range(2 * len(pod.spec.init_containers) + 2):
        machine.now += datetime.timedelta(seconds=301)
        machine.settle()
        for run in machine.world.running:
            if run.name.startswith("i") and not machine.world.is_sidecar(run.name):
                machine.end(run, 0)
        machine.settle()
    running = {run.name for run in machine.world.running}
    assert running >= {container.name for container in pod.spec.containers}


@given(pods(), STEPS)
@settings(deadline=None, max_examples=150)
def test_report_of_an_unchanged_world_is_unchanged(pod: Pod, steps: list[tuple[str, int, int]]) -> None:
    machine = play(pod, steps)
    first = status(machine.world, machine.reported, machine.now, host_ip="192.0.2.1")
    later = status(machine.world, first, machine.now, host_ip="192.0.2.1")
    assert first == later
    for told in (*first.container_statuses, *first.init_container_statuses):
        assert told.state is not None
        assert sum(v is not None for v in (told.state.waiting, told.state.running, told.state.terminated)) == 1
