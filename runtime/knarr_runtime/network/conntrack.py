"""Flows of datagrams that the kernel remembers: it goes on sending them where the first one went.

Who keeps sending to a port of the node would else never reach the pod that got the port meanwhile, or go on sending to
one that is gone. Source: Linux, nf_conntrack; connections of TCP and SCTP end by themselves. Blocking for moments.
"""

from __future__ import annotations

import contextlib
import socket

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket


def forget(port: int) -> None:
    """All flows of UDP to that port of the node. Raises OSError."""
    with NFCTSocket() as kernel:
        wanted = NFCTAttrTuple(proto=socket.IPPROTO_UDP, dport=port)
        for flow in tuple(kernel.dump(tuple_orig=wanted)):
            ends = flow.get_attr("CTA_TUPLE_ORIG")
            addresses, ports = ends.get_attr("CTA_TUPLE_IP"), ends.get_attr("CTA_TUPLE_PROTO")
            if addresses is None or ports.get_attr("CTA_PROTO_DST_PORT") != port:
                continue
            one = NFCTAttrTuple(
                saddr=addresses.get_attr("CTA_IP_V4_SRC"),
                daddr=addresses.get_attr("CTA_IP_V4_DST"),
                proto=socket.IPPROTO_UDP,
                sport=ports.get_attr("CTA_PROTO_SRC_PORT"),
                dport=port,
            )
            with contextlib.suppress(NetlinkError):  # it has ended meanwhile
                kernel.entry("del", tuple_orig=one)
