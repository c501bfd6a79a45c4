"""An ``etcd`` that has yet to read its data: it listens at once, and notes how long it would have been waited for."""

from __future__ import annotations

import sys
from concurrent import futures
from pathlib import Path

import grpc
from aetcd import rpc
from aetcd.rpc import rpc_pb2_grpc

PATIENCE_FILE = "waited-for"


class Maintenance(rpc_pb2_grpc.MaintenanceServicer):
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def Status(self, request: object, context: grpc.ServicerContext) -> rpc.StatusResponse:
        (self._directory / PATIENCE_FILE).write_text(str(context.time_remaining()))
        return rpc.StatusResponse(version="3.4.23")


class Empty(rpc_pb2_grpc.KVServicer):
    def Range(self, request: object, context: grpc.ServicerContext) -> rpc.RangeResponse:
        return rpc.RangeResponse()


def main(words: list[str]) -> None:
    if words == ["--version"]:
        sys.stdout.write("etcd Version: 3.4.23\n")
        return
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    rpc_pb2_grpc.add_MaintenanceServicer_to_server(
        Maintenance(Path(words[words.index("--data-dir") + 1]).parent), server
    )
    rpc_pb2_grpc.add_KVServicer_to_server(Empty(), server)
    server.add_insecure_port(words[words.index("--listen-client-urls") + 1].removeprefix("http://"))
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1:])
