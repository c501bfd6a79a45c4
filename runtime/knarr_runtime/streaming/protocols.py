"""Which protocol a client and this server speak: the first of the client's that is known here."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

STREAM_VERSION_HEADER = "X-Stream-Protocol-Version"
PORT_FORWARD = "portforward.k8s.io"
TUNNEL_PREFIX = "SPDY/3.1+"


class Version(enum.IntEnum):
    """Of the remote command protocol: 2 repaired how stdin ends, 3 has terminal sizes, 4 a Status at the end, 5 lets a
    WebSocket's client close stdin."""

    V1 = 1
    V2 = 2
    V3 = 3
    V4 = 4
    V5 = 5


REMOTE_COMMAND_SPDY = {
    "v4.channel.k8s.io": Version.V4,
    "v3.channel.k8s.io": Version.V3,
    "v2.channel.k8s.io": Version.V2,
    "channel.k8s.io": Version.V1,
}


@dataclass(frozen=True, slots=True)
class WebSocketProtocol:
    """base64: messages are text, the channel a digit and the data in base64."""

    version: Version
    base64: bool


REMOTE_COMMAND_WEBSOCKET = {
    "v5.channel.k8s.io": WebSocketProtocol(Version.V5, False),
    "v4.channel.k8s.io": WebSocketProtocol(Version.V4, False),
    "v4.base64.channel.k8s.io": WebSocketProtocol(Version.V4, True),
    "channel.k8s.io": WebSocketProtocol(Version.V1, False),
    "base64.channel.k8s.io": WebSocketProtocol(Version.V1, True),
    "": WebSocketProtocol(Version.V1, False),
}
PORT_FORWARD_WEBSOCKET = {
    "v4.channel.k8s.io": WebSocketProtocol(Version.V4, False),
    "v4.base64.channel.k8s.io": WebSocketProtocol(Version.V4, True),
    "": WebSocketProtocol(Version.V4, False),
}


def choose(offered: Sequence[str], known: Sequence[str]) -> str | None:
    """The client's first that is known. None: there is no such."""
    return next((name for name in offered if name in known), None)
