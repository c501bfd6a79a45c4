"""``./dev bench [cluster] [runtime] [store]``: figures of this machine, beside the peers that are installed.

``./dev bench scale`` has options of its own: see ``scale.py``.

Benchmarks are no tests: nothing here fails because it is slow.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUITES = {
    "cluster": ("cluster.py",),
    "runtime": ("runtime_start.py", "runtime_cri.py", "runtime_many.py", "runtime_streaming.py", "runtime_images.py"),
    "store": ("store.py",),
}


def main() -> int:
    """Exit status of the first suite that could not be run."""
    if sys.argv[1:2] == ["scale"]:
        return subprocess.run([sys.executable, HERE / "scale.py", *sys.argv[2:]], check=False).returncode
    wanted = sys.argv[1:] or list(SUITES)
    unknown = [name for name in wanted if name not in SUITES]
    if unknown:
        print(f"unknown benchmark {unknown[0]}: there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    for name in wanted:
        for script in SUITES[name]:
            print(f"== {name}: {script}", flush=True)
            status = subprocess.run([sys.executable, HERE / script], check=False).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
