"""Reads what a child process prints, with bounded memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
import threading
import time

KEPT_BYTES = 1 << 20
"""How much of a stream is kept: the first half and the last half of this."""


class Stream:
    """Reads one pipe of a child process in a thread, keeping its head and its tail."""

    def __init__(self, fd: int) -> None:
        """Owns `fd` from now on."""
        self._fd = fd
        self._lock = threading.Lock()
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0
        """The bytes that came since the last `take`."""
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(self._fd, 1 << 16):
                with self._lock:
                    self.total += len(chunk)
                    room = KEPT_BYTES // 2 - len(self._head)
                    self._head += chunk[:room]
                    self._tail += chunk[max(0, room) :]
                    del self._tail[: -KEPT_BYTES // 2]
        os.close(self._fd)

    def wait(self, timeout: float) -> None:
        """Waits until nothing can come any more: every process that had the other end has closed it."""
        self._thread.join(timeout)

    def take(self) -> bytes:
        """Returns what was printed since the last call, its middle left out where it was long."""
        for _ in range(200):
            if not self._thread.is_alive():
                break
            try:
                waiting = struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, b"\0" * 4))[0]
            except OSError:
                break
            if not waiting:
                break
            time.sleep(0.001)
        with self._lock:
            cut = self.total - len(self._head) - len(self._tail)
            middle = b"\n... %d bytes left out ...\n" % cut if cut else b""
            out = bytes(self._head) + middle + bytes(self._tail)
            self._head.clear()
            self._tail.clear()
            self.total = 0
        return out
