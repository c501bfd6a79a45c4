"""The AppArmor profile containers get where nobody asks for another: its text, and how it comes into the kernel.

Equal in effect to Docker's ``docker-default``: what its containers may do ours may, and nothing else. Source:
apparmor.d(5), apparmor_parser(8).
"""

from __future__ import annotations

import shutil
import subprocess

from knarr_runtime.kernel import lsm

NAME = "knarr-default"
_PARSER_S = 60.0
_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

PROFILE = f"""
profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  capability,
  file,
  network,
  unix,
  umount,

  # Anybody outside may signal it; it may signal and trace only what is confined as it is.
  signal (receive) peer=unconfined,
  signal (send, receive) peer={NAME},
  ptrace (trace, read, tracedby, readby) peer={NAME},

  deny mount,

  # /proc: one may write below the directories of processes, and to sys/kernel/shm*.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/k[^e]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # /sys: one may write below fs/cgroup.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


def loaded(name: str = NAME) -> bool:
    return name in (lsm.apparmor_profiles() or ())


def default() -> str:
    """The profile for containers that name none; "" where there is none to be had."""
    return NAME if lsm.apparmor_enabled() and loaded() else ""


def parser() -> str | None:
    """The program that loads profiles, if it is installed."""
    return shutil.which("apparmor_parser", path=_PATH)


def prepare() -> str:
    """Loads the profile if this kernel has AppArmor; why it could not, or "". Blocking.

    Also when it is loaded: another version of this runtime may have done so.
    """
    if not lsm.apparmor_enabled():
        return ""
    program = parser()
    if program is None:
        return "" if loaded() else "apparmor_parser is not installed (Debian package apparmor)"
    try:
        done = subprocess.run(
            [program, "--replace", "--skip-cache"],
            input=PROFILE.encode(),
            capture_output=True,
            timeout=_PARSER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"apparmor_parser: {error}"
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return f"apparmor_parser: {said[-1] if said else f'exit status {done.returncode}'}"


def condition(why: str = "") -> str:
    """What keeps containers from being confined by default on a kernel that could, or "". why: prepare's answer."""
    if not lsm.apparmor_enabled() or loaded():
        return ""
    sentence = f"AppArmor is on, but its profile {NAME} is not loaded: containers are not confined by it"
    return f"{sentence} ({why})" if why else sentence
