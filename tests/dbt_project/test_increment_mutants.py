"""Increments that recompute less than they must are told from full rebuilds: the tests of increments can fail."""

import pytest
from hypothesis import assume, given, seed, settings

from tests.conftest import mostly_slow
from tests.dbt_project.histories import DONE, Night, events_in, histories
from tests.dbt_project.increment_cases import (
    ENTRIES_THAT_ARE_OUTDONE,
    ENTRY_THAT_CONVERTS_LATE,
    FEW,
    OUTCOMES_THAT_TURN,
    SCORES_THAT_MOVE,
    SCORES_THAT_STAND,
    VALUES_THAT_TURN,
    differences,
    project,
)


def last_days_only(days: int) -> tuple[tuple[str, str, str], ...]:
    end = "(select max(events.event_ts) from intermediate.int_events_identified as events)"
    since = f"where event_ts >= {end} - interval {days} day and change_seq >"
    return tuple((name, "where change_seq >", since) for name in ("int_touched_users", "int_touched_days"))


MUTANTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "the last 3 days": last_days_only(3),
    "no widening to the session's start": (
        ("int_touched_users", "when reached.started_at < users", "when false and reached.started_at < users"),
    ),
    "identities as they were": (("int_touched_events", "device_logins.least_user_id is not null\n", "false\n"),),
    "the old user forgotten": (("log_event_changes", "select old_{{ user_key }} as", "select new_{{ user_key }} as"),),
    "funnels from the day of the change on": (
        ("int_touched_users", "'changed_from', -longest_funnel_window()", "'changed_from', 0"),
        ("int_touched_users", "' as date)', -1) }} as entries_from", "' as date)', 0) }} as entries_from"),
    ),
    "what went stays": (("went_since", "retired_seq > {{ applied_seq() }}", "false"),),
}
USUAL, *OTHERS = MUTANTS


@pytest.mark.parametrize("mutant", mostly_slow([USUAL, *OTHERS], USUAL))
def test_a_cheaper_rule_is_caught(mutant: str) -> None:
    """The property can tell: each rule that recomputes less than it must is found wrong by random histories."""
    mutated = project("Kathmandu")
    for name, old, new in MUTANTS[mutant]:
        mutated = mutated.but_for(name, old, new)
    caught: list[list[str]] = []

    @seed(mutant)
    @settings(FEW, max_examples=30)
    @given(history=histories(nights=3, size=10))
    def look(history: list[Night]) -> None:
        assume(events_in(history) > 15 and all(night.outcome == DONE for night in history))
        if not caught and (found := differences("Kathmandu", history, mutated)):
            caught.append(found)

    look()
    assert caught


@pytest.mark.slow
def test_values_that_stay_where_they_were_are_caught() -> None:
    mutant = project("London").but_for(
        "int_touched_funnels", "select * from touched_funnels", "select * from touched_funnels where false"
    )
    assert any("marts.funnel_steps" in found for found in differences("London", VALUES_THAT_TURN, mutant))


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutation",
    [
        ("int_rfm_measures", "{{ in_region('purchases', 'scores', 'as_of_date', anew=false) }}\n", "false\n"),
        ("int_rfm_measures", "and as_of_date in (select as_of_dates.as_of_date from as_of_dates)", ""),
        ("rfm_scores", "r_score_before is null\n        or", "r_score_before is null\n        and"),
        ("get_incremental_touched_region_sql", "if meta.get('or_named')", "if false"),
    ],
)
def test_scores_that_are_left_are_caught(mutation: tuple[str, str, str]) -> None:
    mutant = project("Kathmandu").but_for(*mutation)
    assert any("marts.rfm_scores" in found for found in differences("Kathmandu", SCORES_THAT_MOVE, mutant))


@pytest.mark.slow
def test_scores_among_the_touched_alone_are_caught() -> None:
    mutant = project("Kathmandu").but_for(
        "int_rfm_measures", "(as_of_dates.is_touched and purchases.is_touched)", "purchases.is_touched"
    )
    for history in SCORES_THAT_STAND:
        assert any("marts.rfm_scores" in found for found in differences("Kathmandu", history, mutant))


NARROWER_OUTCOMES = {
    "of users with a change alone": (
        *("int_touched_outcomes", "where outcome_key in (select touched_users.user_key from touched_users)"),
        "where false",
    ),
    **{
        f"of {name} as once known": ("outcomes_of", "or_not_stored(", f"'' if label == '{name}' else or_not_stored(")
        for name in ("churn", "conversion")
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", NARROWER_OUTCOMES)
def test_outcomes_that_stay_as_they_were_are_caught(mutant: str) -> None:
    mutated = project("London").but_for(*NARROWER_OUTCOMES[mutant])
    assert any("_outcomes" in found for found in differences("London", OUTCOMES_THAT_TURN, mutated))


@pytest.mark.slow
def test_entries_that_are_ranked_among_recomputed_days_alone_are_caught() -> None:
    mutant = project("Kathmandu").but_for(
        "int_funnel_entries_outdone", "in_region('users', 'days')", "in_region('entries', 'days', 'entry_date')"
    )
    assert any("marts.funnel_steps" in found for found in differences("Kathmandu", ENTRIES_THAT_ARE_OUTDONE, mutant))


@pytest.mark.slow
def test_funnel_counts_of_changed_days_alone_are_caught() -> None:
    mutant = project("Kathmandu").but_for(
        "int_touched_periods", "'activity_date', -window_days - 1", "'activity_date', 0"
    )
    assert any("marts.funnel_steps" in found for found in differences("Kathmandu", ENTRY_THAT_CONVERTS_LATE, mutant))
