"""Reads exact numbers of bytes from a socket whose other end is hostile, under a deadline."""

from __future__ import annotations

import socket
import time


class Closed(Exception):
    """The other end closed the channel."""


class Late(Exception):
    """The other end did not do its part in time."""


def receive(channel: socket.socket, size: int, deadline: float | None = None) -> bytearray:
    """Returns exactly `size` bytes.

    Raises Closed where the channel ends before, and Late where `time.monotonic()` passes the deadline.
    """
    data = bytearray(size)
    view = memoryview(data)
    done = 0
    while done < size:
        _limit(channel, deadline)
        try:
            got = channel.recv_into(view[done:])
        except TimeoutError:
            raise Late from None
        except ConnectionError:
            raise Closed from None
        if got == 0:
            raise Closed
        done += got
    return data


def send(channel: socket.socket, data: bytes, deadline: float | None = None) -> None:
    """Sends all of the data; raises as `receive` does."""
    _limit(channel, deadline)
    try:
        channel.sendall(data)
    except TimeoutError:
        raise Late from None
    except ConnectionError:
        raise Closed from None


def _limit(channel: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        channel.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise Late
    channel.settimeout(left)
