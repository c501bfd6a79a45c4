"""What all containers of a pod share: its names, sysctls, users, shared memory, network and perhaps processes.

The shim is in the pod's namespaces itself and keeps them alive merely by living.
"""

from __future__ import annotations

import os
import signal

from knarr_runtime import layout
from knarr_runtime.channel import Message
from knarr_runtime.errors import KernelRefused
from knarr_runtime.kernel import mounts, process, rtnetlink, syscalls
from knarr_runtime.shim import pause, users
from knarr_runtime.spec import OWN_PIDS, SandboxSpec


class Pod:
    """users: its user namespace, if it has one of its own."""

    def __init__(self, spec: SandboxSpec, directory: str, last_capability: int) -> None:
        self.users: users.UserNamespace | None = None
        self.shared_memory = f"{directory}/{layout.SHARED_MEMORY}"
        self.processes = -1
        """A pidfd of the first process of the pod's pid namespace, -1 where containers have their own."""
        self._spec = spec
        self._last_capability = last_capability
        self._pause = 0

    def set_up(self) -> None:
        """Hostname, sysctls, users, /dev/shm. Raises OSError, RuntimeFailure."""
        if self._spec.uids:
            self.users = users.make(self._spec.uids, self._spec.gids, self._name_and_tune)
        else:
            self._name_and_tune()
        os.makedirs(self.shared_memory, 0o700, exist_ok=True)
        if self._spec.namespaces.ipc == "host":
            mounts.attach(mounts.bind("/dev/shm"), os.open(self.shared_memory, os.O_PATH | os.O_CLOEXEC))
        else:
            uid, gid = self.users.outside(0, 0) if self.users else (0, 0)
            options = f"mode=1777,size={self._spec.shm_size_bytes},uid={uid},gid={gid}"
            memory = mounts.tmpfs(options, mounts.NO_PRIVILEGE, self._spec.mount_label)
            mounts.attach(memory, os.open(self.shared_memory, os.O_PATH | os.O_CLOEXEC))

    def share_processes(self) -> None:
        """Start the first process of the pid namespace that the containers share, if they do."""
        if self._spec.namespaces.pid != "pod":
            return
        flags = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS
        pid = users.fork_in(self.users, flags) if self.users else syscalls.clone3(flags)
        if pid == 0:
            try:
                pause.run(self._last_capability)
            finally:
                os._exit(1)
        self._pause = pid
        self.processes = os.pidfd_open(pid)

    def end_processes(self) -> None:
        if self._pause:
            process.kill(self._pause, signal.SIGKILL)
            os.waitpid(self._pause, 0)

    def has_own_pids(self, pids: str) -> bool:
        """pids: whose processes the container asks to see."""
        return pids == OWN_PIDS or (not pids and self._spec.namespaces.pid == "container")

    def clone_flags(self, pids: str = "") -> int:
        """For the first process of a container."""
        return syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWPID if self.has_own_pids(pids) else 0)

    def configure_network(self, config: Message) -> None:
        routes = [(str(route["destination"]), str(route["gateway"])) for route in config["routes"]]
        rtnetlink.configure(config["address"], config["gateway"], int(config["mtu"]), config["ifname"], routes)

    def _name_and_tune(self) -> None:
        if self._spec.hostname:
            syscalls.sethostname(self._spec.hostname)
        for name, value in self._spec.sysctls.items():
            self._set_sysctl(name, value)

    def _set_sysctl(self, name: str, value: str) -> None:
        try:
            with open(f"/proc/sys/{name.replace('.', '/')}", "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise KernelRefused(f"sysctl {name}={value}: {error.strerror}") from error
