"""``knarr-runtime serve``: the daemon's process, from its arguments to its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from knarr_runtime import settings as settings_module
from knarr_runtime.errors import RuntimeFailure
from knarr_telemetry import logs, tracing


def serve(arguments: Sequence[str]) -> None:
    """Exit status 1 with one message on standard error when it can't start."""
    settings = settings_module.parse(arguments)
    logs.configure(settings.log_level, settings.log_format)
    from knarr_runtime import daemon

    try:
        tracing.start("knarr-runtime", settings.tracing_endpoint)
        asyncio.run(daemon.serve(settings))
    except (RuntimeFailure, OSError, tracing.NotInstalled) as error:
        sys.stderr.write(f"knarr-runtime: {error}\n")
        raise SystemExit(1) from None
    finally:
        tracing.stop()
