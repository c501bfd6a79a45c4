"""./dev demo: a real cluster of three nodes on this machine, shown at work and healing.

Everything is done with the commands a user would type, and shown as such. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KNARR = str(Path(sys.executable).parent / "knarr")
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
HEAL_TIMEOUT_S = 30.0


class Demo:
    """The demo's cluster and how commands are shown."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.environment = {**os.environ, "KUBECONFIG": str(data_dir / "admin.kubeconfig")}

    def title(self, text: str) -> None:
        print(f"\n\033[1;36m── {text}\033[0m" if COLOUR else f"\n── {text}", flush=True)

    def show(self, *words: str) -> None:
        """Run ``knarr WORDS`` with its output on the terminal. Raises CalledProcessError."""
        print(f"\033[1m$ knarr {' '.join(words)}\033[0m" if COLOUR else f"$ knarr {' '.join(words)}", flush=True)
        subprocess.run([KNARR, *words], env=self.environment, cwd=ROOT, check=True)

    def ask(self, *words: str) -> dict[str, object]:
        """``knarr WORDS -o json``, decoded."""
        done = subprocess.run(
            [KNARR, *words, "-o", "json"], env=self.environment, cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        document: dict[str, object] = json.loads(done.stdout)
        return document

    def pods(self) -> list[dict[str, object]]:
        items: list[dict[str, object]] = self.ask("get", "pods", "-l", "app=web")["items"]  # type: ignore[assignment]
        return items


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster running and say how to use it")
    parser.add_argument("--store", default="sqlite", help="sqlite or etcd")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("dev demo: not root: nodes need namespaces, cgroups and mounts; run it with sudo", file=sys.stderr)
        return 1
    base = Path(tempfile.mkdtemp(prefix="knarr-demo-"))
    demo = Demo(base / "cluster")
    started = time.monotonic()
    keep = False
    try:
        run(demo, arguments.store)
        keep = arguments.keep
    except subprocess.CalledProcessError as error:
        print(f"dev demo: '{' '.join(error.cmd[:4])} …' failed with status {error.returncode}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if keep:
            print(f"\nThe cluster goes on. Use it:\n  export KUBECONFIG={demo.environment['KUBECONFIG']}")
            print(f"  {KNARR} get pods -o wide\n  {KNARR} down --data-dir {demo.data_dir}")
        else:
            clean_up(demo, base)
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    return 0


def run(demo: Demo, store: str) -> None:
    """The demo's acts, in order."""
    demo.title("A cluster of three nodes, each with its own network namespace, cgroups, agent and runtime")
    # Short settings, so that a lost node is noticed while one looks on; the defaults are 10 s and 30 s.
    demo.show(
        *("up", "--nodes", "3", "--data-dir", str(demo.data_dir), "--store", store, "--detach"),
        *("--node-grace", "3", "--eviction-grace", "1"),
    )
    demo.title("An image, made from busybox")
    archive = demo.data_dir.parent / "busybox.tar"
    subprocess.run([sys.executable, ROOT / "deploy/images/build_busybox.py", archive], check=True)
    demo.show("image", "import", str(archive), "--data-dir", str(demo.data_dir))
    demo.title("A Deployment of three replicas")
    demo.show("apply", "-f", "deploy/examples/web.yaml")
    demo.show("rollout", "status", "deployment/web")
    demo.show("get", "pods", "-o", "wide")

    demo.title("A container's process is killed")
    kill_a_container(demo)
    demo.show("get", "pods")

    demo.title("A whole node is killed")
    kill_a_node(demo)
    demo.show("get", "nodes,deployments,pods", "-o", "wide")


def kill_a_container(demo: Demo) -> None:
    """SIGKILL to one container's first process, found through its cgroup; then wait for its restart."""
    pod = demo.pods()[0]
    metadata, spec = pod["metadata"], pod["spec"]
    assert isinstance(metadata, dict) and isinstance(spec, dict)
    pid = container_process(metadata["uid"])
    print(f"killing process {pid} of pod {metadata['name']} on node {spec['nodeName']}", flush=True)
    os.kill(pid, signal.SIGKILL)
    started = time.monotonic()

    def restarted() -> bool:
        try:
            return container_process(metadata["uid"]) != pid
        except LookupError:
            return False

    wait_for(restarted, "the container to be started again", interval_s=0.002)
    print(f"running again {1000 * (time.monotonic() - started):.0f} ms later", flush=True)
    demo.show("wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", f"pod/{metadata['name']}")
    demo.show("wait", "--for=condition=Ready", f"pod/{metadata['name']}", "--timeout=20s")


def kill_a_node(demo: Demo) -> None:
    """Every process of one node, then wait until the Deployment is whole again on the others."""
    spec = demo.pods()[-1]["spec"]
    assert isinstance(spec, dict)
    lost = spec["nodeName"]
    started = time.monotonic()
    demo.show("node", "kill", lost, "--data-dir", str(demo.data_dir))
    demo.show("wait", "--for=condition=Ready=Unknown", f"node/{lost}", "--timeout=30s")
    wait_for(lambda: len([pod for pod in demo.pods() if runs_elsewhere(pod, lost)]) == 3, "the pods to be replaced")
    print(f"three replicas run on the other nodes, {time.monotonic() - started:.1f} s after the node died", flush=True)


def runs_elsewhere(pod: dict[str, object], lost: str) -> bool:
    """Ready, not being deleted, and not on the lost node."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    assert isinstance(metadata, dict) and isinstance(spec, dict) and isinstance(status, dict)
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    return ready and "deletionTimestamp" not in metadata and spec.get("nodeName") != lost


def container_process(uid: str) -> int:
    """Pid of the web server of a pod, by the pod's uid in the processes' cgroup paths. Raises LookupError."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if command[0].endswith(b"httpd") and uid in (entry / "cgroup").read_text():
                return int(entry.name)
        except (OSError, IndexError):
            continue
    raise LookupError(uid)


def wait_for(check: object, what: str, *, interval_s: float = 0.1) -> None:
    """Raises SystemExit when it does not come true in time."""
    assert callable(check)
    deadline = time.monotonic() + HEAL_TIMEOUT_S
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"dev demo: waited {HEAL_TIMEOUT_S:.0f} s in vain for {what}")
        time.sleep(interval_s)


def clean_up(demo: Demo, base: Path) -> None:
    """Also after a failure: the logs are shown where there is no other trace."""
    if (demo.data_dir / "cluster.json").exists():
        demo.title("Cleaning up")
        subprocess.run([KNARR, "down", "--data-dir", str(demo.data_dir)], env=demo.environment, check=False)
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
