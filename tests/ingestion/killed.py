"""Loads a lake in processes of its own, and kills them: run by `test_kill.py`, in a process without threads.

Each line of standard input is a JSON object: `root`, a data directory, and `after`, when to kill the load: a number of
seconds, or the name of a function and the how manieth call of it. The answer is one line: whether the load was killed.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# DuckDB imports it for functions in Python: here once, rather than in each process, and without threads.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import pandas  # noqa: F401

from orchestration.ingestion import lake, loading
from orchestration.ingestion.catalog import Catalog
from tests.ingestion.conftest import source

POINTS: dict[str, tuple[Any, str]] = {
    "sync": (loading, "sync"),
    "place": (loading.Loading, "_place"),
    "add": (Catalog, "add"),
    "see": (Catalog, "see"),
    "retire": (Catalog, "retire"),
    "next_seq": (Catalog, "next_seq"),
    "sweep": (lake.Lake, "_sweep"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """The same function, whose n-th call kills the process: before it when n is odd, after it when even."""
    calls = 0

    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls * 2 - 1 == call:
            die()
        result = function(*arguments, **options)
        if calls * 2 == call:
            die()
        return result

    return wrapped


def load(root: Path, after: dict[str, Any]) -> None:
    if "function" in after:
        owner, name = POINTS[after["function"]]
        setattr(owner, name, dying(getattr(owner, name), after["call"]))
    loading.COMMIT_SECONDS = after.get("commit_seconds", 0.0)
    opened = lake.Lake(root / "lake")
    opened.load(source(), data_dir=root, memory_limit="500MB", threads=2)
    opened.close()


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            load(Path(order["root"]), order["after"])
            os._exit(0)
        if "seconds" in order["after"]:
            ended = os.pidfd_open(child)
            if not select.select([ended], [], [], order["after"]["seconds"])[0]:
                os.kill(child, signal.SIGKILL)
            os.close(ended)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status), "status": status}), flush=True)  # noqa: T201


main()
