"""Random histories of a lake, and warehouses that are brought up to date with them night by night."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import duckdb
import pandas as pd
from hypothesis import strategies as st

from orchestration import increments
from orchestration.settings import Settings
from orchestration.warehouse import DbtFailed, connect, run_dbt
from tests.conftest import VARIABLES, Load, funnel, without_comments, write_loads

HOUR = 3600
DAY = 24 * HOUR

FUNNELS = [
    funnel("ordered", ["view", "page_view", "purchase"], window=3 * DAY, order="ordered"),
    funnel(
        "repeated", ["view", "view", {"event": "purchase", "where": "revenue > 50"}], window=40 * DAY, order="ordered"
    ),
    funnel("strict", ["view", "page_view", "page_view"], window=2 * HOUR, order="strict"),
    funnel("unordered", ["page_view", "view", "view"], window=DAY, order="unordered"),
]

FUNNELS_WITH_OPTIONS = [
    funnel(
        "by platform",
        ["view", "page_view", "purchase"],
        window=2 * DAY,
        exclusions=[{"event": "other", "between": ["page_view", "purchase"]}],
        breakdown={"by": "platform", "top": 1},
    ),
    funnel(
        "optional",
        ["view", {"event": "page_view", "optional": True}, {"event": "other", "optional": True}, "purchase"],
        window=40 * DAY,
        breakdown={"by": "coalesce(page, utm_source)", "top": 2},
    ),
    funnel(
        "posthog",
        ["page_view", "view"],
        window=DAY,
        semantics="posthog",
        exclusions=["other"],
        breakdown={"by": "page", "top": 1},
    ),
    funnel("mixpanel", ["view", "purchase"], window=3 * DAY, semantics="mixpanel", exclusions=["page_view"]),
    funnel("clickhouse", ["view", "view", "purchase"], window=DAY, semantics="clickhouse"),
    funnel(
        "by user",
        ["view", "purchase"],
        window=DAY,
        breakdown={"by": "users.lifecycle_state", "top": 2},
    ),
]


@dataclass(frozen=True)
class Project:
    """The dbt project as it reads under some variables; parsed once, as that costs as much as a build."""

    variables: Mapping[str, Any]
    parsed: Any
    manifest: Mapping[str, Any]

    @classmethod
    def parse(cls, variables: Mapping[str, Any]) -> "Project":
        variables = {**VARIABLES, **variables}
        with TemporaryDirectory() as directory:
            settings = Settings(data_dir=Path(directory))
            with connect(settings):
                pass
            parsed = without_comments(run_dbt(["parse"], settings, variables))
            manifest = json.loads((settings.root / "warehouse" / "dbt" / "manifest.json").read_text())
        return cls(variables, parsed, manifest)

    def models(self) -> list[str]:
        """The models in an order in which dbt may build them."""
        nodes = {key: node for key, node in self.manifest["nodes"].items() if node["resource_type"] == "model"}
        parents = {key: set(node["depends_on"]["nodes"]) & set(nodes) for key, node in nodes.items()}
        assert len(nodes) <= MODELS, "histories would not kill a build after the last of its models"
        return [nodes[key]["name"] for key in TopologicalSorter(parents).static_order()]

    def but_for(self, name: str, old: str, new: str) -> "Project":
        """The project with some text of one model or macro replaced."""
        parsed = self.parsed.deepcopy()
        model, macro = parsed.nodes.get(f"model.avila.{name}"), parsed.macros.get(f"macro.avila.{name}")
        text = model.raw_code if model else macro.macro_sql
        assert text.count(old) == 1, f"{name} has {text.count(old)} times: {old}"
        manifest = json.loads(json.dumps(self.manifest))
        if model:
            model.raw_code = manifest["nodes"][model.unique_id]["raw_code"] = text.replace(old, new)
        else:
            macro.macro_sql = manifest["macros"][macro.unique_id]["macro_sql"] = text.replace(old, new)
        return replace(self, parsed=parsed, manifest=manifest)


class Killed(Exception):  # noqa: N818 - reads as what happened
    pass


@dataclass(frozen=True)
class Outcome:
    """How far a build comes: to the end; killed once so many models are done, or after all but before that is noted;
    or with a model that fails, so that what follows from it is skipped."""

    killed_after: int | None = None
    failing: int | None = None


DONE = Outcome()
MODELS = 120
"""No fewer than there are. Killed after more than there are is after all; the number of one that fails goes round."""


class Warehouse:
    """A lake and what is built from it."""

    def __init__(self, root: Path, project: Project) -> None:
        self.settings = Settings(data_dir=root, threads=1)
        self.project = project
        self.said: list[str] = []
        with connect(self.settings):
            pass

    def build(self, loads: Iterable[Load] | None, outcome: Outcome = DONE) -> None:
        """Take in the loads there are now; without any, those that the warehouse knows of."""
        if loads is not None:
            write_loads(self.settings, loads)
        project, models = self.project, self.project.models()

        def run(command: Sequence[str], settings: Settings, variables: Mapping[str, Any], *_: Any, parsed: Any) -> Any:
            words = ["run", "--no-write-json", "--select", "fqn:*"]
            if outcome.killed_after is not None:
                if outcome.killed_after == 0:
                    raise Killed
                words = [*words[:-1], *models[: outcome.killed_after]]
            if outcome.failing is not None:
                words += ["--exclude", f"{models[outcome.failing % len(models)]}+"]
            result = run_dbt(words, settings, variables, parsed=project.parsed)
            if outcome.killed_after is not None:
                raise Killed
            if outcome.failing is not None:
                raise DbtFailed("a model failed", list(result.results))
            return result

        with mock.patch.object(increments, "run_dbt", run):
            try:
                increments.build(
                    self.settings, project.variables, project.manifest, select=["fqn:*"], say=self.said.append
                )
            except (Killed, DbtFailed):
                if outcome == DONE:
                    raise

    def connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.settings.warehouse), read_only=True)

    def compared(self) -> list[str]:
        """What an increment must leave as a full rebuild does."""
        models = [node for node in self.project.manifest["nodes"].values() if node["resource_type"] == "model"]
        return sorted(
            f"{node['schema']}.{node['name']}"
            for node in models
            if node["schema"] in ("marts", "features") or node["config"]["materialized"] == "incremental"
        )

    def differences(self, other: "Warehouse") -> list[str]:
        """What one warehouse has and the other has not, as a few rows of each table that differs."""
        found = []
        with self.connect() as mine, other.connect() as theirs, duckdb.connect() as both:
            for table in self.compared():
                columns = ", ".join(name for name, *_ in theirs.execute(f"describe {table}").fetchall())
                for name, connection in (("mine", mine), ("theirs", theirs)):
                    both.register(name, connection.sql(f"select {columns} from {table}").to_arrow_table())
                for one, two in (("mine", "theirs"), ("theirs", "mine")):
                    rows = both.execute(f"from {one} except all from {two}").fetchall()
                    if rows:
                        found.append(f"{table}: {len(rows)} rows only {one}, such as {rows[:2]} ({columns})")
        return found


@dataclass(frozen=True)
class Happened:
    """An event as a dump has it. Its moment is so many minutes after the history's start; a tick is a microsecond."""

    event_id: str
    source: str
    day: int
    minute: int
    tick: int
    event_name: str
    user_id: str | None
    anonymous_id: str | None
    page: str | None
    platform: str | None
    utm_source: str | None
    revenue: int | None
    referrer: str | None = None
    country: str | None = None

    def row(self, start: datetime) -> dict[str, Any]:
        values = asdict(self)
        moment = timedelta(days=values.pop("day"), minutes=values.pop("minute"), microseconds=values.pop("tick"))
        return {**values, "event_ts": start + moment}


@dataclass(frozen=True)
class Night:
    """The files that come and the loads that go before a build, and how that ends. Loads go by their place among all
    that came so far."""

    came: tuple["File", ...]
    went: tuple[int, ...]
    outcome: Outcome


@dataclass(frozen=True)
class File:
    """A file of events, and the load it replaces, by place."""

    events: tuple[Happened, ...]
    replaces: int | None = None


PEOPLE = [
    *[(None, "phone"), ("ada", "phone"), (None, "phone"), ("bob", "phone")],
    *[(None, "desk"), ("ada", "desk"), (None, "kiosk"), ("cyd", "kiosk"), ("bob", "kiosk"), ("cyd", None)],
]

happened = st.builds(
    lambda person, **rest: Happened(user_id=person[0], anonymous_id=person[1], **rest),
    person=st.sampled_from(PEOPLE),
    event_id=st.integers(0, 99).map("{:02d}".format),
    source=st.sampled_from(["app", "web"]),
    # Late events are up to half a year old; most fall close together, so that sessions meet.
    day=st.sampled_from([0, 0, 0, 1, 2, 29, 30, 31, 93, 180]),
    minute=st.integers(0, 17).map(lambda number: 10 * number),
    tick=st.sampled_from([0, 0, 0, 1]),
    event_name=st.sampled_from(["view", "page_view", "purchase", "view", "page_view", "other"]),
    page=st.sampled_from([None, "/a", "/b"]),
    platform=st.sampled_from([None, "ios", "web"]),
    utm_source=st.sampled_from([None, None, "news"]),
    revenue=st.sampled_from([None, None, 30, 60, -30]),
    referrer=st.sampled_from([None, None, None, "https://www.google.com/", "https://blog.example/a"]),
    country=st.sampled_from([None, "BR", "PT", "CV"]),
)


@st.composite
def copies(draw: Callable[..., Any], event: Happened) -> Happened:
    """An event sent once more: as it was, or with another moment, content or owner."""
    other = draw(happened)
    change = draw(st.sampled_from(["nothing", "moment", "minute", "content", "owner"]))
    return {
        "nothing": event,
        "moment": replace(event, day=other.day, minute=other.minute, tick=other.tick),
        "minute": replace(event, minute=other.minute),
        "content": replace(
            event, event_name=other.event_name, page=other.page, revenue=other.revenue, referrer=other.referrer
        ),
        "owner": replace(event, user_id=other.user_id, anonymous_id=other.anonymous_id),
    }[change]


@st.composite
def histories(draw: Callable[..., Any], *, nights: int = 4, size: int = 12) -> list[Night]:
    """Nights of a lake, of which the last one ends well."""
    sent: list[Happened] = []
    files: list[tuple[Happened, ...]] = []
    live: set[int] = set()
    history = []

    def draw_file() -> tuple[Happened, ...]:
        rows = []
        for _ in range(draw(st.integers(0, size))):
            is_copy = sent and draw(st.integers(0, 3)) == 3
            rows.append(draw(copies(draw(st.sampled_from(sent)))) if is_copy else draw(happened))
            sent.append(rows[-1])
        return tuple(rows)

    for number in range(draw(st.integers(2, nights))):
        came, went = [], []
        for _ in range(draw(st.integers(0 if number else 1, 3))):
            action = draw(st.sampled_from(["comes", "comes", "comes", "goes", "is replaced", "comes back"]))
            away = sorted(set(range(len(files))) - live)
            if action in ("goes", "is replaced") and live:
                gone = draw(st.sampled_from(sorted(live)))
                live.remove(gone)
                if action == "goes":
                    went.append(gone)
                    continue
                came.append(File(draw_file(), replaces=gone))
            elif action == "comes back" and away:
                came.append(File(files[draw(st.sampled_from(away))]))
            else:
                came.append(File(draw_file()))
            live.add(len(files))
            files.append(came[-1].events)
        history.append(Night(tuple(came), tuple(went), draw(outcomes)))
    if history[-1].outcome != DONE:
        history.append(Night((), (), DONE))
    return history


def events_in(history: Iterable[Night]) -> int:
    return sum(len(file.events) for night in history for file in night.came)


outcomes = st.one_of(
    st.just(DONE),
    st.just(DONE),
    st.builds(Outcome, killed_after=st.integers(0, MODELS)),
    st.builds(Outcome, failing=st.integers(0, MODELS)),
)


@dataclass
class Lake:
    """The loads as they come and go; each of a file's comings is a load of its own."""

    start: datetime
    loads: list[Load] = field(default_factory=list)
    seq: int = 0

    def take_in(self, night: Night) -> list[Load]:
        for file in night.came:
            self.seq += 1
            if file.replaces is not None:
                self.loads[file.replaces].retired_seq = self.seq
            rows = [event.row(self.start) for event in file.events]
            events = pd.DataFrame(rows, columns=["event_id", "source"] if not rows else None)
            self.loads.append(Load(f"load{len(self.loads):02d}", self.seq, events))
        for place in night.went:
            self.seq += 1
            self.loads[place].retired_seq = self.seq
        return self.loads


def difference_from_full_rebuild(
    project: Project, start: datetime, history: Iterable[Night], mutant: Project | None = None
) -> list[str]:
    """Bring one warehouse up to date night by night, build another from the same files, and tell them apart."""
    with TemporaryDirectory() as directory:
        lake = Lake(start)
        grown = Warehouse(Path(directory) / "grown", mutant or project)
        for night in history:
            grown.build(lake.take_in(night), night.outcome)
        full = Warehouse(Path(directory) / "full", project)
        full.build(lake.loads)
        return grown.differences(full)
