"""Journeys: what follows what, and the most trodden paths to a key event."""

from collections.abc import Callable
from functools import partial

import duckdb

from orchestration.pictures.drawing import SMALL, WIDTH, Drawing, Picture
from orchestration.pictures.words import counted, percent, short_number, tip

MOST_STEPS = 8
MOST_PATHS = 8
FEWEST_USERS = 5
"""Pages can hold what tells a person apart, such as an order's number: what fewer users did is not named."""

OTHERS = "all other steps"
ENTRY, EXIT = "(entry)", "(exit)"
LABEL, NODE, HEIGHT, GAP, SLOT = 180.0, 12.0, 440.0, 6.0, 17.0

Node = tuple[str, bool]
"""A step and whether it is one of the data's own, not an entry, an exit or the rest."""


def sankey(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """From each of the commonest steps to what came right after it in the session, entries and exits among them."""
    named = connection.execute(
        "select step from marts.path_steps where users >= ? order by events desc, step limit ?",
        [FEWEST_USERS, MOST_STEPS],
    ).fetchall()
    steps: list[Node] = [(row[0], True) for row in named]
    others, entry, leave = (OTHERS, False), (ENTRY, False), (EXIT, False)
    rows = connection.execute(
        """
        with flows as (
            select from_step, to_step, transitions as events from marts.path_transitions
            union all
            select null as from_step, step as to_step, entries as events from marts.path_steps
            union all
            select step as from_step, null as to_step, exits as events from marts.path_steps
        )
        select
            case when from_step in (select unnest($1::varchar[])) then from_step end as source,
            case when to_step in (select unnest($1::varchar[])) then to_step end as target,
            from_step is null as enters,
            to_step is null as leaves,
            sum(events)::bigint as events
        from flows
        where events > 0
        group by all
        order by all
        """,
        [[step for step, _ in steps]],
    ).fetchall()
    if not rows:
        return []
    flows: dict[tuple[Node, Node], int] = {}
    for source, target, enters, leaves, events in rows:
        left = entry if enters else (source, True) if source is not None else others
        right = leave if leaves else (target, True) if target is not None else others
        flows[left, right] = flows.get((left, right), 0) + events
    lefts = [node for node in (entry, *steps, others) if any(node == left for left, _ in flows)]
    rights = [node for node in (*steps, others, leave) if any(node == right for _, right in flows)]
    drawing = Drawing(HEIGHT + 44)
    sizes = [{node: sum(n for pair, n in flows.items() if pair[side] == node) for node in nodes}
             for side, nodes in enumerate((lefts, rights))]  # fmt: skip
    scale = min(_scale([size[node] for node in nodes]) for size, nodes in zip(sizes, (lefts, rights), strict=True))
    tops = [_tops(nodes, size, scale) for nodes, size in zip((lefts, rights), sizes, strict=True)]
    drawing.text(LABEL, 16, "a step …", look="muted", size=SMALL, anchor="end")
    drawing.text(WIDTH - 4, 16, "… and what came right after it", look="muted", size=SMALL, anchor="end")
    used = [dict(tops[0]), dict(tops[1])]
    for left in lefts:
        for right in rights:
            events = flows.get((left, right), 0)
            if not events:
                continue
            look = "third" if right == leave else "second" if left == entry else "first" if left[1] else "fourth"
            told = (
                f"{tip(left[0])} → {tip(right[0])}: {counted(events)}, {percent(events / sizes[0][left])} of the left"
            )
            start, end = (LABEL + NODE, used[0][left]), (WIDTH - LABEL - NODE, used[1][right])
            drawing.band(start, end, max(events * scale, 0.4), f"flow-{look}", told=told)
            used[0][left] += events * scale
            used[1][right] += events * scale
    for side, (nodes, x) in enumerate(((lefts, LABEL), (rights, WIDTH - LABEL - NODE))):
        for node in nodes:
            size, top = sizes[side][node], tops[side][node]
            look = {entry: "second", leave: "third", others: "fourth"}.get(node, "first")
            drawing.rect(x, top, NODE, max(size * scale, 1), look, told=f"{tip(node[0])}: {counted(size)}")
            middle, number = top + size * scale / 2 + 4, short_number(size)
            kind = "" if node[1] else "muted"
            if side == 0:
                drawing.text(x - 8, middle, number, look="muted", size=SMALL, anchor="end")
                drawing.text(x - 52, middle, node[0], look=kind, size=SMALL, anchor="end", width=LABEL - 58)
            else:
                drawing.text(x + NODE + 8, middle, number, look="muted", size=SMALL)
                drawing.text(x + NODE + 52, middle, node[0], look=kind, size=SMALL, width=LABEL - 58)
    (first, _), most = max(
        ((pair, events) for pair, events in flows.items() if pair[0][1] and pair[1][1]),
        key=lambda item: item[1],
        default=((entry, leave), 0),
    )
    second = next((right for (left, right), n in flows.items() if left == first and n == most), leave)
    return [
        Picture(
            name="journeys",
            mart="path_transitions",
            title="Journeys: what follows what",
            reading="Each ribbon leads from a step to the one right after it in the same session, as thick as it was "
            f"often; orange ones end the session, light blue ones begin it. Steps of fewer than {FEWEST_USERS} users "
            "are among the others.",
            description=f"{counted(sizes[0].get(entry, 0))} sessions begin; "
            + (
                f"the commonest transition is {tip(first[0])} → {tip(second[0])}, {counted(most)} times."
                if most
                else "no step that enough users took follows another."
            ),
            topic="Paths",
            drawing=drawing,
        )
    ]


def _slots(sizes: list[int], scale: float) -> float:
    return sum(max(size * scale, SLOT) for size in sizes) + GAP * (len(sizes) - 1)


def _scale(sizes: list[int]) -> float:
    """Pixels an event, such that all nodes fit, each with room for its label."""
    low, high = 0.0, HEIGHT / max(sum(sizes), 1)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _slots(sizes, middle) <= HEIGHT else (low, middle)
    return low


def _tops(nodes: list[Node], sizes: dict[Node, int], scale: float) -> dict[Node, float]:
    """Where each node begins: in the middle of its slot."""
    at, tops = 30.0, {}
    for node in nodes:
        height = sizes[node] * scale
        slot = max(height, SLOT)
        tops[node] = at + (slot - height) / 2
        at += slot + GAP
    return tops


def _top_paths(
    connection: duckdb.DuckDBPyConnection, *, mart: str, title: str, reading: str, topic: str
) -> list[Picture]:
    rows = connection.execute(
        f"""
        select key_event, path, key_events, users, share from marts.{mart}
        where users >= ?
            and key_event = (select key_event from marts.{mart} group by 1 order by sum(key_events) desc, 1 limit 1)
        order by key_events desc, path
        limit ?
        """,
        [FEWEST_USERS, MOST_PATHS],
    ).fetchall()
    if not rows:
        return []
    row_height, most = 40.0, rows[0][2]
    drawing = Drawing(row_height * len(rows) + 6)
    for number, (_, path, key_events, users, share) in enumerate(rows):
        y, length = number * row_height, 480.0 * key_events / most
        drawing.text(2, y + 15, path, size=SMALL + 0.5, width=WIDTH - 12)
        drawing.rect(2, y + 21, length, 11, "first", radius=2, told=tip(path))
        said = f"{counted(key_events)} ({percent(share)}), {counted(users)} users"
        drawing.text(length + 12, y + 31, said, look="muted", size=SMALL)
    name = tip(rows[0][0])
    return [
        Picture(
            name=mart.replace("_", "-"),
            mart=mart,
            title=title.format(key_event=name),
            reading=reading.format(fewest=FEWEST_USERS),
            description=f"The commonest has {counted(rows[0][2])} of them ({percent(rows[0][4])}): {tip(rows[0][1])}.",
            topic=topic,
            drawing=drawing,
        )
    ]


Draw = Callable[[duckdb.DuckDBPyConnection], list[Picture]]

paths_to_key_event: Draw = partial(
    _top_paths,
    mart="paths_to_key_event",
    title="What led to {key_event}",
    reading="Each line is a path, its bar how many key events it led to; paths of fewer than {fewest} users "
    "are left out.",
    topic="Paths",
)
paths_from_key_event: Draw = partial(
    _top_paths,
    mart="paths_from_key_event",
    title="What came after {key_event}",
    reading="Each line is a path, its bar after how many key events it was taken; paths of fewer than {fewest} "
    "users are left out.",
    topic="Paths",
)
conversion_paths: Draw = partial(
    _top_paths,
    mart="conversion_paths",
    title="The channels that led to {key_event}",
    reading="Each line is the sessions' channels in order, its bar how many key events they led to; those of fewer "
    "than {fewest} users are left out.",
    topic="Attribution",
)
