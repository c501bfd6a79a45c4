"""The daemon's hand on the processes: sandboxes, containers, exec, exits. The one interface above zygote and shims.

    launcher = Launcher(LauncherSettings(state_dir=Path("/run/knarr"), cgroup_root="knarr"))
    await launcher.start()
    recovered = await launcher.recover()            # before anything else
    async with asyncio.TaskGroup() as group:
        group.create_task(consume(launcher.events()))
        await launcher.create_sandbox(sandbox)
        await launcher.configure_network("pod1", NetworkConfig(address="10.244.1.5/24", gateway="10.244.1.1"))
        await launcher.create_container(container)  # state and cgroups made; no process yet
        await launcher.start_container("c1")        # it runs now, or StartFailed (127, 126)
    await launcher.close()                          # containers go on

States: a sandbox is READY until it is stopped or its shim dies, then NOT_READY until removed. A container is
CREATED → RUNNING → EXITED → removed; a start that fails goes CREATED → EXITED with exit code 127, 126 or 128.

All errors are those of :mod:`knarr_runtime.errors`. Every method may be called concurrently; calls for one container
take effect in the order in which they were made.

Modules: ``values`` and ``table`` hold what is known, ``sandboxes``, ``containers`` and ``execs`` do what is asked,
``shims`` and ``exits`` take what happens, ``recovery`` finds what was, ``cgroups`` and ``work`` serve the others.
"""

from knarr_runtime.launcher.containers import signal_number
from knarr_runtime.launcher.launcher import Launcher
from knarr_runtime.launcher.values import (
    Container,
    ContainerExited,
    ContainerState,
    Event,
    ExecResult,
    Exit,
    LauncherSettings,
    Recovered,
    Sandbox,
    SandboxExited,
    SandboxState,
    Started,
    Stats,
)

__all__ = [
    "Container",
    "ContainerExited",
    "ContainerState",
    "Event",
    "ExecResult",
    "Exit",
    "Launcher",
    "LauncherSettings",
    "Recovered",
    "Sandbox",
    "SandboxExited",
    "SandboxState",
    "Started",
    "Stats",
    "signal_number",
]
