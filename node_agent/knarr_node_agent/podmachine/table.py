"""The transitions as data: what is done with a container, by the stage its pod is in and by what is seen of it.

``decide`` finds stage and sight, reads the verb here, and adds identifiers and waiting times. Nothing else decides.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Stage(enum.Enum):
    """Where a pod is in its life."""

    SANDBOX = "no sandbox is ready"
    INIT = "init containers run, one after the other; sidecars beside them"
    MAIN = "the containers run"
    SETTLE = "the pod has ended by itself or by its deadline; its logs stay"
    END = "the pod must go"


class Seen(enum.Enum):
    """What the newest run of a container looks like."""

    MISSING = "never created"
    PREPARED = "created and never started"
    UP = "running"
    SICK = "running; a probe says it must not"
    CHANGED = "running another image than is wanted"
    STOPPING = "running; asked to stop"
    DONE = "ended; the restart policy does not want it again"
    AGAIN = "ended; the restart policy wants it again"
    LOST = "the runtime does not know what became of it"


class Verb(enum.Enum):
    KEEP = "nothing"
    START = "create and start a run, after its back-off"
    REPLACE = "remove the run, then as START"
    STOP = "preStop hook, stop signal, SIGKILL after the grace period"
    KILL = "SIGKILL"


_RUNNING = (Seen.UP, Seen.SICK, Seen.CHANGED)

TABLE: Mapping[Stage, Mapping[Seen, Verb]] = {
    Stage.SANDBOX: dict.fromkeys(Seen, Verb.KEEP) | dict.fromkeys(_RUNNING, Verb.KILL),
    Stage.INIT: {
        Seen.MISSING: Verb.START,
        Seen.PREPARED: Verb.REPLACE,
        Seen.UP: Verb.KEEP,
        Seen.SICK: Verb.STOP,
        Seen.CHANGED: Verb.KEEP,
        Seen.STOPPING: Verb.KEEP,
        Seen.DONE: Verb.KEEP,
        Seen.AGAIN: Verb.START,
        Seen.LOST: Verb.REPLACE,
    },
    Stage.MAIN: {
        Seen.MISSING: Verb.START,
        Seen.PREPARED: Verb.REPLACE,
        Seen.UP: Verb.KEEP,
        Seen.SICK: Verb.STOP,
        Seen.CHANGED: Verb.STOP,
        Seen.STOPPING: Verb.KEEP,
        Seen.DONE: Verb.KEEP,
        Seen.AGAIN: Verb.START,
        Seen.LOST: Verb.REPLACE,
    },
    Stage.SETTLE: dict.fromkeys(Seen, Verb.KEEP) | dict.fromkeys(_RUNNING, Verb.STOP),
    Stage.END: dict.fromkeys(Seen, Verb.KEEP) | dict.fromkeys(_RUNNING, Verb.STOP),
}
