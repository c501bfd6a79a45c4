"""Lifecycle hooks: postStart right after a container's start, preStop before its stop signal."""

from __future__ import annotations

import asyncio

from knarr_api.errors import KnarrError
from knarr_api.types.core_v1 import LifecycleHandler
from knarr_client.clock import Clock
from knarr_node_agent.probes import Target, http_status, port_number
from knarr_node_agent.runtime import Runtime

OUTPUT_MAX = 512


async def run_hook(runtime: Runtime, clock: Clock, target: Target, hook: LifecycleHandler, *, timeout_s: float) -> str:
    """Why the hook failed, empty when it did not."""
    try:
        async with asyncio.timeout(timeout_s):
            if hook.exec_ is not None:
                code, output = await runtime.exec(target.container_id, hook.exec_.command, timeout_s)
                text = output.decode(errors="replace")[:OUTPUT_MAX].strip()
                return f"command {list(hook.exec_.command)} exited with {code}: {text}" if code else ""
            if hook.http_get is not None:
                status = await http_status(target, hook.http_get)
                return "" if 200 <= status < 400 else f"HTTP hook failed with status {status}"
            if hook.sleep is not None:
                await clock.sleep(float(hook.sleep.seconds or 0))
            elif hook.tcp_socket is not None:
                port = port_number(target.container, hook.tcp_socket.port)
                _, writer = await asyncio.open_connection(hook.tcp_socket.host or target.ip, port)
                writer.close()
    except TimeoutError:
        return f"timed out after {timeout_s:g}s"
    except (OSError, ValueError, LookupError, KnarrError) as error:
        return str(error) or type(error).__name__
    return ""
