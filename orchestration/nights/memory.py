"""How much memory this process holds at its highest, from one moment to another."""

import os
import resource
import sys
import threading
from pathlib import Path

_STATM = Path("/proc/self/statm")
_SECONDS = 0.1


class Memory:
    """Resident memory in bytes, looked at ten times a second by a thread of its own.

    The kernel counts a process's highest use over its whole life only, and to reset that count would deceive whoever
    watches the process from outside. So what a while needed is exact where it is the highest yet, and else the highest
    of the looks. Where there is no ``/proc``, it is the highest yet.
    """

    def __init__(self) -> None:
        self._highest = self._now()
        self._lifetime = _lifetime()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def highest(self) -> int:
        """The highest since the last time this was asked, or since the beginning."""
        # A look in the middle of this would hand what was highest before on to the next while.
        with self._lock:
            lifetime, now = _lifetime(), self._now()
            highest = max(self._highest, now, lifetime if lifetime > self._lifetime else 0)
            self._highest, self._lifetime = now, lifetime
        return highest

    def _watch(self) -> None:
        while not self._over.wait(_SECONDS):
            with self._lock:
                self._highest = max(self._highest, self._now())

    @staticmethod
    def _now() -> int:
        try:
            return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return _lifetime()


def _lifetime() -> int:
    """The highest of the process's life."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
