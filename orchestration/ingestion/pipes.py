"""Bytes from a Python iterator to whoever opens a path."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

_CAPACITY = 1 << 20
"""Of a pipe, in bytes, where the system lets it be set: a sixteenth of the context switches."""


class Pipe:
    """A named pipe that a thread of its own feeds while someone else reads it.

    Used as a context manager. Leaving it ends the thread, whether the pipe was read to its end or not.

    Args:
        blocks: What to feed.
        path: Where the pipe is made, and removed again.

    Attributes:
        error: What went wrong in `blocks`, if anything did.
    """

    def __init__(self, blocks: Iterable[bytes], path: Path) -> None:
        self.path = path
        self.error: BaseException | None = None
        self._blocks = blocks
        self._stopped = False
        self._thread = threading.Thread(target=self._feed, name=f"feed {path.name}", daemon=True)

    def __enter__(self) -> "Pipe":
        os.mkfifo(self.path, mode=0o600)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A reader that gave up, or never came, leaves the thread blocked in a write or in its open: a last
        # reader of our own lets it go on until it sees that it shall stop.
        self._stopped = True
        last_reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while self._thread.is_alive():
                with contextlib.suppress(BlockingIOError):
                    os.read(last_reader, _CAPACITY)
                self._thread.join(0.001)
        finally:
            os.close(last_reader)
            self.path.unlink()

    def _feed(self) -> None:
        try:
            with self.path.open("wb", buffering=0) as pipe:
                if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CAPACITY)
                for block in self._blocks:
                    rest = memoryview(block)
                    while rest:
                        if self._stopped:
                            return
                        rest = rest[pipe.write(rest) :]
        except BrokenPipeError:
            pass  # the reader has given up, and says itself why
        except BaseException as error:
            self.error = error
