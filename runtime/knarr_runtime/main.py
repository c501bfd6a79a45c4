"""``knarr-runtime``: the daemon, or a verb for people who want containers without a cluster."""

from __future__ import annotations

import sys


def main() -> None:
    """The daemon starts without what only the other verbs need, and they without what only it needs."""
    if sys.argv[1:2] == ["serve"]:
        from knarr_runtime.serving import serve

        serve(sys.argv[1:])
        return
    from knarr_runtime.cli.main import main as verbs

    verbs()


if __name__ == "__main__":
    main()
