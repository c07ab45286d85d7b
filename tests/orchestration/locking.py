"""Files that another process holds: a lock within one process would not be one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DUCKDB = "import duckdb, sys; held = duckdb.connect(sys.argv[1])"
FLOCK = "import fcntl, sys; held = open(sys.argv[1], 'a'); fcntl.flock(held, fcntl.LOCK_EX)"


@contextmanager
def held_by_another(path: Path, how: str = FLOCK) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a file until its standard input is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    script = f"{how}; print('held', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.communicate("")
