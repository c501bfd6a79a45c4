"""What an error means to the user: who refused, why, and what to do about it."""

from __future__ import annotations

import re

import grpc

from knarr_api import errors
from knarr_api.errors import KnarrError

CONNECTING = ("failed to connect", "name resolution", "dns resolution")
LOST = ("socket closed", "connection reset", "goaway", "broken pipe", "connection closed", "ping timeout")
NOISE = re.compile(
    r"^.*last error: |\b(?:UNKNOWN|UNAVAILABLE|INTERNAL): |\bipv[46]:|Failed to connect to remote host: "
)


def explain(error: KnarrError) -> str:
    """The text for standard error, without a newline at the end.

    What the API answered begins with ``Error from server``, what was found on this side with ``error``.
    """
    if not isinstance(error.__cause__, grpc.RpcError):
        return f"error: {error}"
    lowered = str(error).lower()
    if isinstance(error, errors.Unavailable) and any(word in lowered for word in CONNECTING):
        return _unreachable(str(error))
    if isinstance(error, errors.Unavailable) and any(word in lowered for word in LOST):
        return f"error: the connection to the server was lost: {error}\nTry again; 'knarr cluster-info' says how it is."
    text = f"Error from server ({error.reason}): {error}"
    if isinstance(error, errors.DeadlineExceeded) and "resource version" not in lowered:
        return f"{text}\nThe server did not answer in time; give it more with --request-timeout."
    if isinstance(error, errors.Unimplemented) and "method not found" in lowered:
        return f"{text}\nIs this the API's port? The join port, which is the next one, serves nodes only."
    if isinstance(error, errors.Unauthenticated):
        return f"{text}\nThe kubeconfig's certificate is not admitted: use the one that 'knarr up' wrote."
    return text


def _unreachable(message: str) -> str:
    reason = NOISE.sub("", message)
    if "certificate_verify_failed" in message.lower() or "handshake failed" in message.lower():
        return (
            f"Unable to connect to the server: {reason}\n"
            "The certificates do not fit: the kubeconfig is of another cluster, or of one that was removed and made "
            "anew. Use the kubeconfig that 'knarr up' names."
        )
    return (
        f"Unable to connect to the server: {reason}\n"
        "Is the cluster running, and is this its kubeconfig? See 'knarr config view'; start a cluster with 'knarr up'."
    )
