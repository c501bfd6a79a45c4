"""``knarr-runtime``: the daemon, or a verb for people who want containers without a cluster."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence

import structlog

from knarr_runtime import settings as settings_module
from knarr_runtime.errors import RuntimeFailure


def main() -> None:
    """The daemon starts without what only the other verbs need."""
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[1:])
        return
    from knarr_runtime.cli.main import main as verbs

    verbs()


def serve(arguments: Sequence[str]) -> None:
    """Exit status 1 with one message on standard error when it can't start."""
    settings = settings_module.parse(arguments)
    _configure_logs(settings.log_level)
    from knarr_runtime import daemon

    try:
        asyncio.run(daemon.serve(settings))
    except (RuntimeFailure, OSError) as error:
        sys.stderr.write(f"knarr-runtime: {error}\n")
        raise SystemExit(1) from None


def _configure_logs(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    main()
