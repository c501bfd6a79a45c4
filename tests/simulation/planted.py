"""Whether the simulation can fail: mistakes planted into a copy of the code, and how many seeds it takes to find each.

python -m tests.simulation.planted [--seeds N] [NAME…]

Every mistake leaves out one precaution. Found means that a seed fails, by whatever invariant notices it first.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("controlplane", "proto", "node_agent", "runtime", "tests")
CONTROL = "controlplane/knarr_controlplane"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is left out; ``old`` becomes ``new`` in a file. having: the event that it takes."""

    name: str
    file: str
    old: str
    new: str
    having: str


MISTAKES = (
    Mistake(
        "a leader's writes are not fenced by its term",
        f"{CONTROL}/registry/registry.py",
        "other._store = FencedStore(self._store, Check(key, expected), lost)",
        "other._store = self._store",
        "LeaderStandsStill",
    ),
    Mistake(
        "an update does not compare the revision it was decided on",
        f"{CONTROL}/registry/registry.py",
        "await self._store.commit([Put(key, value, expected), *others])",
        "await self._store.commit([Put(key, value, None if expected else 0), *others])",
        "CreateDeployment",
    ),
    Mistake(
        "an object goes although finalizers are left",
        f"{CONTROL}/registry/rules.py",
        "if metadata.deletion_timestamp is None or metadata.finalizers:",
        "if metadata.deletion_timestamp is None:",
        "Hold",
    ),
    Mistake(
        "the scheduler does not count pods that it has not bound itself",
        f"{CONTROL}/scheduler/scheduler.py",
        "if not assumed or not self.columns.shows(pod):",
        "if False:",
        "KillControlPlane",
    ),
    Mistake(
        "a rollout does not count what waits to be made",
        f"{CONTROL}/controllers/deployment/scaling.py",
        "- sum(occupied(each) for each in everything)",
        "- sum(each.status.replicas or 0 for each in everything)",
        "SetImage",
    ),
    Mistake(
        "a rollout takes pods away one too many",
        f"{CONTROL}/controllers/deployment/limits.py",
        "    return min(_fenceposts(deployment)[1], replicas)",
        "    return min(_fenceposts(deployment)[1] + 1, replicas)",
        "SetImage",
    ),
    Mistake(
        "an ordered StatefulSet makes pods without waiting for those before",
        f"{CONTROL}/controllers/statefulset/decide.py",
        "        if waits and ordered:\n            return step",
        "        if waits and ordered and False:\n            return step",
        "CreateStatefulSet",
    ),
    Mistake(
        "pods of lost nodes are removed at once",
        f"{CONTROL}/registry/rules.py",
        "    return not isinstance(obj, Pod) or not metadata.deletion_grace_period_seconds",
        "    return True",
        "CreateStatefulSet",
    ),
    Mistake(
        "an eviction does not use up what the budget allows",
        f"{CONTROL}/registry/eviction.py",
        "disruptions_allowed=allowed - 1, disrupted_pods",
        "disruptions_allowed=allowed, disrupted_pods",
        "EvictAll",
    ),
    Mistake(
        "a DaemonSet does not see pods that are going",
        f"{CONTROL}/controllers/daemonset/decide.py",
        "if not (state.is_ended(pod) and pod.metadata.deletion_timestamp is not None):",
        "if pod.metadata.deletion_timestamp is None:",
        "CreateDaemonSet",
    ),
    Mistake(
        "a CronJob that forbids it starts a Job beside another",
        f"{CONTROL}/controllers/cronjob/decide.py",
        'if active and cron_job.spec.concurrency_policy == "Forbid":',
        'if active and cron_job.spec.concurrency_policy == "Never":',
        "CreateCronJob",
    ),
    Mistake(
        "orphaning does not free the dependents",
        f"{CONTROL}/controllers/garbage/collector.py",
        "                await self._disown(dependent, (uid,))\n            await",
        "                pass\n            await",
        "DeleteOwner",
    ),
    Mistake(
        "deletion in the foreground does not wait",
        f"{CONTROL}/controllers/garbage/collector.py",
        "            if not waiting:\n",
        "            if True:\n",
        "DeleteOwner",
    ),
    Mistake(
        "what a quota has counted is not compared",
        f"{CONTROL}/registry/policies.py",
        "        return Put(entry.key, value, entry.revision)",
        "        return Put(entry.key, value)",
        "CreateLimited",
    ),
    Mistake(
        "an agent does not tell its pods again after its node was lost",
        "node_agent/knarr_node_agent/machine.py",
        "for node in (old, new))",
        "for node in (new,))",
        "Partition",
    ),
    Mistake(
        "what is made does not ask for its namespace",
        f"{CONTROL}/registry/registry.py",
        "        return (Check(key, entry.revision if entry is not None else 0),)",
        "        return ()",
        "Crowd",
    ),
    Mistake(
        "a server-side apply takes what others own",
        f"{CONTROL}/registry/server_side_apply.py",
        "    if conflicts and not force:",
        "    if conflicts and not force and False:",
        "Quarrel",
    ),
    Mistake(
        "tolerationSeconds are not waited for",
        f"{CONTROL}/controllers/nodes/eviction.py",
        "    return begin + datetime.timedelta(seconds=max(0, min(limits)))",
        "    return begin",
        "TaintNode",
    ),
    Mistake(
        "an autoscaler takes the most it may ask for for one more",
        f"{CONTROL}/controllers/autoscaling/decide.py",
        "    bounds = Bounds(current=current, least=least, most=most,",
        "    bounds = Bounds(current=current, least=least, most=most + 1,",
        "CreateAutoscaler",
    ),
    Mistake(
        "a Job makes one pod more than may be at a time",
        f"{CONTROL}/controllers/job/decide.py",
        "    return max(0, min(parallelism, job.spec.completions - seen.succeeded))",
        "    return max(0, min(parallelism + 1, job.spec.completions - seen.succeeded))",
        "CreateJob",
    ),
    Mistake(
        "a Job counts its pods twice",
        f"{CONTROL}/controllers/job/tracking.py",
        "        succeeded=(status.succeeded or 0) + len(listed.succeeded) - len(succeeded),",
        "        succeeded=(status.succeeded or 0) + len(listed.succeeded),",
        "CreateJob",
    ),
)


def hunt(mistake: Mistake, seeds: int) -> tuple[int, str]:
    """How many seeds were played, and by what it was found; an empty text if it was not."""
    directory = Path(tempfile.mkdtemp(prefix="knarr-planted-"))
    try:
        for part in PARTS:
            shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
        file = directory / mistake.file
        text = file.read_text()
        if mistake.old not in text:
            return 0, f"not planted, {mistake.file} has changed"
        file.write_text(text.replace(mistake.old, mistake.new))
        paths = os.pathsep.join([str(directory), *(str(directory / part) for part in PARTS)])
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
        play = ["--seeds", str(seeds), "--no-shrink", "--having", mistake.having]
        command = [sys.executable, "-m", "tests.simulation.run", *play]
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        count = re.search(r"^(\d+) seeds, ", done.stdout, re.MULTILINE)
        found = re.search(r"^seed \d+: ([a-z ]+): ", done.stdout, re.MULTILINE)
        if count is None:
            raise SystemExit(f"{mistake.name}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return int(count[1]), found[1] if found is not None and done.returncode else ""
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    """Exit status 1 when one was not found."""
    parser = argparse.ArgumentParser(prog="./dev simulate --planted", description=__doc__)
    parser.add_argument("--seeds", type=int, default=400, help="at most so many for each (default 400)")
    parser.add_argument("names", nargs="*", help="only those whose names contain one of these")
    arguments = parser.parse_args()
    missed = 0
    print("| planted | found by | seeds with | played |\n|---|---|---|---|", flush=True)
    for mistake in MISTAKES:
        if arguments.names and not any(name in mistake.name for name in arguments.names):
            continue
        began_s = time.monotonic()
        played, by = hunt(mistake, arguments.seeds)
        missed += not by
        print(f"| {mistake.name} | {by or 'nothing'} | {mistake.having} | {played} |", flush=True)
        print(f"{time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
