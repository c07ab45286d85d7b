"""The last night in figures, as a text file that node_exporter's textfile collector hands to Prometheus."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.nights.stopwatch import Came, Measured, utc_now
from orchestration.settings import Settings

OUTCOMES = ("published", "blocked", "failed", "done")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What there is to tell of a run.

    Attributes:
        status: One of `OUTCOMES`; ``done`` is a run that was not to publish.
        whole: The run as it was measured; None of one that never came to its first step.
        steps: Its steps, dbt's models and tests among them.
        came: What came in, by source.
    """

    status: str
    whole: Measured | None = None
    steps: tuple[Measured, ...] = ()
    came: Mapping[str, Came] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Gauge:
    """A figure in all its variants.

    Attributes:
        samples: (labels, value).
    """

    name: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]

    def __str__(self) -> str:
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} gauge"]
        return "\n".join([*lines, *(f"{self.name}{_labels(labels)} {value!r}" for labels, value in self.samples)])


def write_metrics(settings: Settings, summary: Summary) -> Path:
    """Write the file, at once; returns where.

    When the marts were published is read from the published file, so it outlives nights that fail.

    Raises:
        OSError: It cannot be written.
    """
    path = settings.metrics
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        # Figures tell of nobody; under a umask such as the units' own, node_exporter's user could not look in.
        path.parent.chmod(0o755)
    # The collector reads files that end in .prom only.
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_text("\n".join(map(str, _gauges(settings, summary))) + "\n", encoding="utf-8")
        # It is read by another user, such as node_exporter's.
        new.chmod(0o644)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return path


def _gauges(settings: Settings, summary: Summary) -> Iterable[_Gauge]:
    published = settings.published / "marts.duckdb"
    yield _one("avila_run_finished_timestamp_seconds", "When the last run ended.", _epoch(utc_now()))
    yield _Gauge(
        name="avila_run_outcome",
        help="1 for how the last run came out, 0 for how it did not.",
        samples=tuple(({"outcome": outcome}, float(outcome == summary.status)) for outcome in OUTCOMES),
    )
    if summary.whole is not None:
        yield from _costs("avila_run", "the last run", [({}, summary.whole)])
    steps = [({"step": step.step}, step) for step in summary.steps if step.part_of is None]
    if steps:
        yield from _costs("avila_step", "a step of the last run", steps)
        samples = tuple((labels, float(step.rows)) for labels, step in steps if step.rows is not None)
        if samples:
            yield _Gauge(name="avila_step_rows", help="Rows in the tables that a step wrote.", samples=samples)
    if summary.came:
        came = [({"source": source}, said) for source, said in summary.came.items()]
        yield _Gauge(
            name="avila_rows_loaded",
            help="Rows that the last run loaded.",
            samples=tuple((labels, float(said.rows)) for labels, said in came),
        )
        yield _Gauge(
            name="avila_rows_rejected",
            help="Rows that the last run rejected.",
            samples=tuple((labels, float(said.rejected)) for labels, said in came),
        )
    last = _last_publication(published)
    if last is not None:
        published_at, succeeded_at = last
        yield _one("avila_publication_timestamp_seconds", "When the marts were last published.", published_at)
        yield _one("avila_last_success_timestamp_seconds", "When a run last ended with a publication.", succeeded_at)
    for name, what, path in (
        ("avila_warehouse_bytes", "Size of the warehouse file.", settings.warehouse),
        ("avila_published_bytes", "Size of the published file.", published),
    ):
        with contextlib.suppress(OSError):
            yield _one(name, what, path.stat().st_size)


def _costs(prefix: str, whose: str, measured: list[tuple[dict[str, str], Measured]]) -> Iterable[_Gauge]:
    for name, what in (
        ("seconds", f"How long {whose} took."),
        ("cpu_seconds", f"CPU seconds of {whose}."),
        ("peak_memory_bytes", f"The most memory that the process held during {whose}."),
    ):
        suffix = "duration_seconds" if name == "seconds" else name
        samples = tuple((labels, float(getattr(step, name))) for labels, step in measured)
        yield _Gauge(name=f"{prefix}_{suffix}", help=what, samples=samples)


def _one(name: str, what: str, value: float) -> _Gauge:
    return _Gauge(name=name, help=what, samples=(({}, float(value)),))


def _last_publication(published: Path) -> tuple[float, float] | None:
    """When the marts were published, and when their run ended, as far as its record in them says."""
    if not published.exists():
        return None
    query = """
        select publications.published_at, greatest(runs.finished_at, publications.published_at)
        from ops.publications left join ops.runs on runs.run_id = publications.run_id and runs.step is null
        order by publications.publication_number desc limit 1
    """
    with contextlib.suppress(duckdb.Error), duckdb.connect(str(published), read_only=True) as connection:
        found = connection.execute(query).fetchall()
        return (_epoch(found[0][0]), _epoch(found[0][1])) if found else None
    return None


def _labels(labels: Mapping[str, str]) -> str:
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _epoch(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
