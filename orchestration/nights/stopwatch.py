"""What each step of a run takes: seconds, CPU seconds and memory, and the rows it leaves."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from orchestration.nights.memory import Memory

BRIEF_SECONDS = 1.0
"""Tests that take less are one step together."""
_WAITS = "waits"
"""The status of a step between two tries."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A step that is over.

    Attributes:
        step: Its name: Dagster's, or of dbt's the table, as SQL calls it, or the test.
        part_of: The step that it is a part of, if any.
        started_at: UTC without zone.
        finished_at: UTC without zone.
        status: ``success`` or ``failed``; ``waits`` of one that was to be tried again when the run ended.
        seconds: By a clock that nobody sets.
        cpu_seconds: Of the process and of the children it has waited for.
        peak_memory_bytes: The most that the process held meanwhile, whoever had taken it.
        rows: In the tables that it wrote; None where it wrote none.
    """

    step: str
    part_of: str | None
    started_at: datetime
    finished_at: datetime
    status: str
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    rows: int | None = None


@dataclass(kw_only=True)
class _Begun:
    step: str
    started_at: datetime
    clock: float
    cpu: float
    peak: int = 0


@dataclass(kw_only=True)
class Came:
    """What a run took in of a source: rows, and rows rejected."""

    rows: int = 0
    rejected: int = 0


@dataclass
class Stopwatch:
    """Measures a run, step by step; a step may lie within another.

    Attributes:
        steps: Those that are over, in the order of their beginnings but for parts, which come before their whole.
        came: What came in, by source.
        rows_of: The rows that a step which is not over has left so far.
        failed: Whether a step has failed.
        blocked: Whether a check that blocks has failed.
    """

    run_id: str
    steps: list[Measured] = field(default_factory=list)
    came: dict[str, Came] = field(default_factory=dict)
    rows_of: dict[str, int] = field(default_factory=dict)
    failed: bool = False
    blocked: bool = False

    def __post_init__(self) -> None:
        self._memory = Memory()
        self._whole = self._begun("")
        self._open: list[_Begun] = []

    def close(self) -> None:
        """Stop measuring memory."""
        self._memory.close()

    def begin(self, step: str) -> None:
        """A step begins, within the one that has begun last and is not over."""
        self._note_peak()
        self._open.append(self._begun(step))

    def end(self, step: str, *, status: str = "success", rows: int | None = None) -> None:
        """A step is over, and with it whatever has begun within it; none that has not begun."""
        if not any(begun.step == step for begun in self._open):
            return
        self._note_peak()
        while self._open:
            begun = self._open.pop()
            part_of = self._open[-1].step if self._open else None
            is_it = begun.step == step
            self._add(self._measured(begun, part_of, status, rows if is_it else None))
            if is_it:
                return

    def wait(self, step: str) -> None:
        """A step is over for now, and will begin again: its next end counts this try in, but not the time between."""
        self.end(step, status=_WAITS)

    @contextmanager
    def part(self, step: str) -> Iterator[None]:
        """A part of the step that has begun last."""
        self.begin(step)
        try:
            yield
        except BaseException:
            self.end(step, status="failed")
            raise
        self.end(step)

    def whole(self) -> Measured:
        """The run so far."""
        self._note_peak()
        return self._measured(self._whole, None, "failed" if self.failed else "success", None)

    def note_rows(self, step: str, rows: int) -> None:
        """Say how many rows a step left that is over, as far as it has not been said."""
        self.steps = [
            replace(measured, rows=rows) if measured.step == step and measured.rows is None else measured
            for measured in self.steps
        ]

    def note_node(self, event: Any) -> None:
        """Take what dbt says while it runs: each model is a step, and each test that takes a while."""
        name = event.info.name
        if name not in ("NodeStart", "NodeFinished"):
            return
        node = event.data.node_info
        is_test = node.resource_type == "test"
        relation = node.node_relation
        step = node.node_name if is_test else f"{relation.schema}.{relation.alias}"
        if name == "NodeStart":
            self.begin(step)
            return
        self.end(step, status="success" if node.node_status in ("success", "pass", "warn") else "failed")
        if is_test and self.steps and self.steps[-1].step == step and self.steps[-1].seconds < BRIEF_SECONDS:
            self._together(self.steps.pop())

    def _add(self, measured: Measured) -> None:
        """Add a step, or to its tries before."""
        for number, before in enumerate(self.steps):
            if (before.step, before.part_of, before.status) == (measured.step, measured.part_of, _WAITS):
                self.steps[number] = replace(_sum(before, measured), status=measured.status, rows=measured.rows)
                return
        self.steps.append(measured)

    def _together(self, test: Measured) -> None:
        """Add a brief test to those that its step had before."""
        name = f"brief tests of {test.part_of}"
        before = next((i for i, measured in enumerate(self.steps) if measured.step == name), None)
        if before is None:
            self.steps.append(replace(test, step=name))
            return
        sofar = self.steps[before]
        status = "failed" if "failed" in (sofar.status, test.status) else "success"
        self.steps[before] = replace(_sum(sofar, test), status=status)

    def _note_peak(self) -> None:
        highest = self._memory.highest()
        for begun in (self._whole, *self._open):
            begun.peak = max(begun.peak, highest)

    @staticmethod
    def _begun(step: str) -> _Begun:
        return _Begun(step=step, started_at=utc_now(), clock=time.monotonic(), cpu=_cpu_seconds())

    @staticmethod
    def _measured(begun: _Begun, part_of: str | None, status: str, rows: int | None) -> Measured:
        return Measured(
            step=begun.step,
            part_of=part_of,
            started_at=begun.started_at,
            finished_at=utc_now(),
            status=status,
            seconds=time.monotonic() - begun.clock,
            cpu_seconds=_cpu_seconds() - begun.cpu,
            peak_memory_bytes=begun.peak,
            rows=rows,
        )


def _sum(first: Measured, then: Measured) -> Measured:
    """What both took together."""
    return replace(
        first,
        finished_at=then.finished_at,
        seconds=first.seconds + then.seconds,
        cpu_seconds=first.cpu_seconds + then.cpu_seconds,
        peak_memory_bytes=max(first.peak_memory_bytes, then.peak_memory_bytes),
    )


_running: dict[str, Stopwatch] = {}


def start(run_id: str) -> Stopwatch:
    """Measure a run of this process from now on."""
    _running[run_id] = Stopwatch(run_id)
    return _running[run_id]


def running(run_id: str | None) -> Stopwatch | None:
    """The stopwatch of a run that is measured in this process, if it is."""
    return _running.get(run_id or "")


def stop(run_id: str) -> None:
    """Measure a run no longer."""
    _running.pop(run_id).close()


def utc_now() -> datetime:
    """UTC without zone, as the warehouse keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
