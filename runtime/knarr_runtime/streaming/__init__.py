"""The streaming server of CRI: exec, attach and port-forward for clients of the kubelet's protocols.

CRI's verbs validate a request and answer a URL with a token; the client connects there, once and soon, and goes on in
SPDY/3.1 or WebSocket. Built upwards: ``spdy`` and ``websocket`` (framing), ``channels_*`` (what a remote command's
client sends and gets), ``remote_command`` and ``port_forward`` (the copying), ``server`` (HTTP, limits, time).
It knows the launcher only as ``Backend``.
"""
