"""The daemon's end of a channel: requests with replies, events, and word when the other side is gone."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from knarr_runtime import channel, errors
from knarr_runtime.channel import Message
from knarr_runtime.errors import Invalid, Unavailable


class Peer:
    """One connection, read by the running loop. ``on_event`` and ``on_close`` are called from the loop."""

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        *,
        on_event: Callable[[Message], None] = lambda _: None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._socket = sock
        self._on_event = on_event
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[tuple[Message, list[int]]]] = {}
        self._last_id = 0
        self.open = True
        self._loop.add_reader(sock, self._read)

    def _read(self) -> None:
        while self.open:
            try:
                received = channel.receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, ValueError):
                received = None
            if received is None:
                self.close()
                self._on_close()
                return
            self._take(*received)

    def _take(self, message: Message, descriptors: list[int]) -> None:
        if "event" in message:
            self._on_event(message)
            return
        waiting = self._waiting.pop(message.get("id", 0), None)
        if waiting is None or waiting.done():
            for fd in descriptors:
                os.close(fd)
        elif "error" in message:
            waiting.set_exception(errors.from_json(message["error"]))
        else:
            waiting.set_result((message, descriptors))

    async def request(
        self, op: str, *, descriptors: Sequence[int] = (), body: bytes = b"", timeout_s: float, **fields: object
    ) -> Message:
        """The reply. Raises what the other side says, Unavailable if it is gone or does not answer in time."""
        message, received = await self.request_descriptors(
            op, descriptors=descriptors, body=body, timeout_s=timeout_s, **fields
        )
        for fd in received:
            os.close(fd)
        return message

    async def request_descriptors(
        self, op: str, *, descriptors: Sequence[int] = (), body: bytes = b"", timeout_s: float, **fields: object
    ) -> tuple[Message, list[int]]:
        """The reply and the descriptors that came with it, the caller's to close."""
        if not self.open:
            raise Unavailable(f"{self.name} is not running")
        self._last_id += 1
        identifier = self._last_id
        waiting: asyncio.Future[tuple[Message, list[int]]] = self._loop.create_future()
        self._waiting[identifier] = waiting
        try:
            channel.send(self._socket, {"id": identifier, "op": op, **fields}, descriptors, body)
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError as error:
            raise Unavailable(f"{self.name} did not answer {op!r} within {timeout_s:g} s") from error
        except BlockingIOError as error:
            raise Unavailable(f"{self.name} does not read its requests") from error
        except OSError as error:
            raise Unavailable(f"{self.name}: {error.strerror}") from error
        except ValueError as error:
            raise Invalid(f"{op}: {error}") from error
        finally:
            self._waiting.pop(identifier, None)

    def notify(self, op: str, **fields: object) -> None:
        """Sends a request whose reply nobody waits for. Raises Unavailable if it cannot be sent."""
        if not self.open:
            raise Unavailable(f"{self.name} is not running")
        try:
            channel.send(self._socket, {"id": 0, "op": op, **fields})
        except OSError as error:
            raise Unavailable(f"{self.name}: {error.strerror}") from error

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unavailable(f"{self.name} has ended"))
        self._waiting.clear()
