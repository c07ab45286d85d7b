"""Funnels as `avila.yml` declares them, and as dbt reads them."""

import difflib
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from orchestration.conditions import event_condition, event_value
from orchestration.declared import Declared

Condition = Annotated[str | None, AfterValidator(event_condition)]

USER_COLUMNS = (
    "first_seen_at", "last_seen_at", "sessions", "events", "key_events", "revenue", "rfm_segment", "lifecycle_state",
)  # fmt: skip
"""Columns of `users` that a funnel may be broken down by; not the scores, as they come after the funnels."""

MOST_MARKS = 62
"""An event says in the bits of one number which steps and exclusions of a funnel it matches."""


class Step(Declared):
    """One step of a funnel: an event by name, a condition, or both."""

    name: str = Field(default="", min_length=0)
    event: str | None = None
    where: Condition = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value, "event": value}
        if isinstance(value, dict) and "name" not in value:
            return {**value, "name": value.get("event") or value.get("where") or ""}
        return value

    @model_validator(mode="after")
    def _matches_something(self) -> "Step":
        if not self.event and not self.where:
            raise ValueError("a step needs `event:` (an event's name), `where:` (a condition), or both")
        return self


class Exclusion(Declared):
    """An event that ends a path where it comes after one step and before another: by default, the first and last."""

    event: str | None = None
    where: Condition = None
    between: tuple[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return {"event": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _matches_something(self) -> "Exclusion":
        if not self.event and not self.where:
            raise ValueError("an exclusion needs `event:` (an event's name), `where:` (a condition), or both")
        return self

    @field_validator("between", mode="before")
    @classmethod
    def _two_steps(cls, value: object) -> object:
        if value is not None and not (isinstance(value, list | tuple) and len(value) == 2):
            raise ValueError("expected the names of two steps, such as [cart, paid]")
        return value


class Breakdown(Declared):
    """What a funnel's users are told apart by: the value at step 1 of SQL over an event, or a column of `users`."""

    by: str = Field(min_length=1)
    top: int = Field(default=10, ge=1, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _by_alone(cls, value: object) -> object:
        return {"by": value} if isinstance(value, str) else value

    @field_validator("by")
    @classmethod
    def _known(cls, value: str) -> str:
        table, _, column = value.partition(".")
        if table != "users" or not column.isidentifier():
            return event_value(value)
        if column not in USER_COLUMNS:
            near = difflib.get_close_matches(column, USER_COLUMNS, n=1, cutoff=0.5)
            hint = f"did you mean users.{near[0]}?" if near else f"known: {', '.join(USER_COLUMNS)}"
            raise ValueError(f"users has no column {column} to break down by; {hint}")
        return value

    @property
    def user_column(self) -> str | None:
        """The column of `users`, if it is one."""
        table, _, column = self.by.partition(".")
        return column if table == "users" and column in USER_COLUMNS else None


class Funnel(Declared):
    """Steps, all within one window."""

    window_hours: float = Field(default=168, gt=0, le=100 * 366 * 24)
    order: Literal["ordered", "strict", "unordered"] = "ordered"
    semantics: Literal["avila", "clickhouse", "posthog", "mixpanel"] = "avila"
    steps: tuple[Step, ...] = Field(min_length=1)
    exclusions: Annotated[
        tuple[Exclusion, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
    ] = ()
    breakdown: Breakdown | None = None

    @field_validator("window_hours")
    @classmethod
    def _a_second_or_more(cls, value: float) -> float:
        # Windows are whole seconds long, and one that is rounded to none would find simultaneous events only.
        if round(value * 3600) < 1:
            raise ValueError(f"expected at least a second, which is 0.00028 (it is {value:g})")
        return value

    @field_validator("steps", mode="before")
    @classmethod
    def _told_apart(cls, value: object) -> object:
        """Steps that say no name and would share one: the second `view` is called `view 2`."""
        if not isinstance(value, list | tuple):
            return value
        steps, times = [], Counter[str]()
        for step in value:
            said = {"event": step} if isinstance(step, str) else step
            name = isinstance(said, dict) and "name" not in said and (said.get("event") or said.get("where"))
            if isinstance(name, str):
                times[name] += 1
                said = {**said, "name": f"{name} {times[name]}"} if times[name] > 1 else said
            steps.append(said)
        return steps

    @model_validator(mode="after")
    def _makes_sense(self) -> "Funnel":
        names = [step.name for step in self.steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two steps are called {twice[0]!r}; give each its own `name:`")
        if len(self.steps) + len(self.exclusions) > MOST_MARKS:
            raise ValueError(f"a funnel may have {MOST_MARKS} steps and exclusions, not more")
        self._check_optional_steps()
        for exclusion in self.exclusions:
            self._check_exclusion(exclusion)
        self._check_order()
        return self

    @property
    def path(self) -> tuple[Step, ...]:
        """The steps that may not be skipped."""
        return tuple(step for step in self.steps if not step.optional)

    def places(self, exclusion: Exclusion) -> tuple[int, int]:
        """Between which steps of the path an exclusion counts, from 1 on."""
        names = [step.name for step in self.path]
        first, last = exclusion.between or (names[0], names[-1])
        return names.index(first) + 1, names.index(last) + 1

    def _check_optional_steps(self) -> None:
        for step, which in ((self.steps[0], "first"), (self.steps[-1], "last")):
            if step.optional:
                raise ValueError(
                    f"step {step.name!r} is the {which} and cannot be optional: a path begins with the first step "
                    f"and is complete with the last"
                )

    def _check_exclusion(self, exclusion: Exclusion) -> None:
        what = f"exclusion {exclusion.event or exclusion.where!r}"
        if len(self.path) < 2:
            raise ValueError(f"{what}: a funnel of one step has nothing to exclude between")
        names = [step.name for step in self.path]
        for name in exclusion.between or ():
            if name in names:
                continue
            if name in {step.name for step in self.steps}:
                raise ValueError(f"{what}: step {name!r} is optional; name steps that may not be skipped")
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"steps are called {', '.join(map(repr, names))}"
            raise ValueError(f"{what}: no step is called {name!r}; {hint}")
        first, last = self.places(exclusion)
        if first >= last:
            raise ValueError(f"{what}: step {names[first - 1]!r} does not come before {names[last - 1]!r}")
        for step in self.path[first : last - 1]:
            if exclusion.event == step.event and not exclusion.where:
                raise ValueError(
                    f"{what}: step {step.name!r} lies between and is the same event, so that no path could pass it; "
                    f"narrow `between:`"
                )

    def _check_order(self) -> None:
        if self.order != "ordered" and self.semantics != "avila":
            raise ValueError(f"semantics: {self.semantics} is defined for order: ordered alone")
        if self.order != "ordered" and any(step.optional for step in self.steps):
            raise ValueError(f"an optional step needs order: ordered, not {self.order}")
        if self.order == "strict" and self.exclusions:
            raise ValueError("order: strict lets no other event come between; leave `exclusions` out")
        if self.order == "unordered" and self.exclusions:
            raise ValueError("order: unordered has no steps to exclude between; leave `exclusions` out")
        if self.semantics == "clickhouse" and self.exclusions:
            raise ValueError("semantics: clickhouse has no exclusions, as windowFunnel has none")


def funnel_variables(funnels: Mapping[str, Funnel]) -> list[dict[str, Any]]:
    """Funnels as plain JSON for `dbt --vars`, in the order they are declared in."""
    return [
        {
            "name": name,
            "window_seconds": round(funnel.window_hours * 3600),
            "order": funnel.order,
            "semantics": funnel.semantics,
            "steps": [
                {"number": number, **step.model_dump(include={"name", "event", "where", "optional"})}
                for number, step in enumerate(funnel.steps, start=1)
            ],
            "exclusions": [
                {"number": number, "event": exclusion.event, "where": exclusion.where, "first": first, "last": last}
                for number, exclusion in enumerate(funnel.exclusions, start=1)
                for first, last in [funnel.places(exclusion)]
            ],
            "breakdown": funnel.breakdown
            and {
                "by": None if funnel.breakdown.user_column else funnel.breakdown.by,
                "user_column": funnel.breakdown.user_column,
                "top": funnel.breakdown.top,
            },
        }
        for name, funnel in funnels.items()
    ]
