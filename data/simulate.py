"""Simulate a Brazilian web shop: its daily event dumps, and the truth behind them.

    python data/simulate.py --out data --events 200000 --days 120 --seed 7 --start 2025-01-01

writes `landing/shop/events-YYYY-MM-DD.jsonl.gz`, one file per UTC day of *arrival* (`received_at`), and
`truth/users.parquet`, one row per person. The same arguments give the same bytes. Days are made one by one:
memory holds one day, the deliveries still under way and a few numbers per person.

The shop's time. Visits follow the clock W(t): the integral of hour of day x weekday x pay day x season, all
read in America/Sao_Paulo, and about 1 per day on average. See `Clock`.

People. Arrivals follow W, from a year before the first day to the last; the first visit is the arrival. With
the traits engagement e and intent i, independent standard normals, and the offsets of `CHANNELS` and of
`DEVICES` (the first device's):

    visit_rate            r = 0.15 exp(0.9 e)                                visits per day of W
    churn_hazard          h = exp(-0.25 e - 0.35 i + channel) / 100          per day, in the long run
    purchase_propensity   p = 1 / (1 + exp(2.9 - 0.4 i - channel - device))  per visit
    browse_depth          d = 2.5 exp(0.6 i)                                 more events of browsing per visit

While here, a person visits as a Poisson process of intensity r dW and leaves for good at the hazard
h (1 + 6 exp(-s / 10)), s days after the arrival: newcomers leave soonest. In the long run that is one person
of the Pareto/NBD model (Schmittlein, Morrison and Colombo 1987). A visit clears each of cart, checkout and
purchase with probability p^(1/3), so it buys with probability p. Nothing warns before someone leaves, but
visits, depth and carts show the traits to whoever counts them.

The truth holds these numbers with `user_id`, `anonymous_ids` (the person's devices; a few are shared by two),
`arrived_at`, `churned_at` (null while still here at the end), `channel`, `platform`, `segment`, `registered`,
and what was drawn: `visits` and `purchases`. Its schema's metadata holds the `Shop`. Whoever never logged in
is known to the dumps by an anonymous id only. An id of no row is a bot's.

Best achievable. What follows a cutoff depends on the past only through the last visit before it, so on
average nothing learnt from the dumps beats `probability_of_none`, which knows a person's true numbers and
that visit. With the last visit at the cutoff it answers for a person known to be still here.

Flaws of the dumps. 2 % of events are sent twice, half of those as an identical line, half arriving again up
to a week after. 3 % arrive an hour to a week late. For 1 line in 5,000 a broken copy is added, so distinct
well-formed events are `Summary.events`. What is due after the last day is not written: `Summary.pending`.
"""

import argparse
import dataclasses
import datetime as dt
import gzip
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import Progress

Array = npt.NDArray[Any]
Columns = dict[str, pa.Array]

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WARM_UP_DAYS = 365
EARLY_HAZARD, EARLY_DAYS = 6, 10
BLOCK = 20_000  # people drawn at once
SLOTS = 3  # devices per person, at most
BOT_SHARE, VIEWS_PER_BOT, CRAWL_EVERY_DAYS = 0.03, 2_000, 7

HOURS = np.array([6, 4, 3, 2, 2, 2, 3, 5, 8, 10, 11, 12, 13, 13, 12, 12, 12, 13, 14, 16, 18, 18, 15, 10])
WEEKDAYS = np.array([1.08, 1.06, 1.04, 1.02, 0.98, 0.88, 0.94])  # Monday first

CHANNELS = pd.DataFrame(
    [
        ("direct", 0.28, -0.1, 0.0, ""),
        ("organic", 0.26, -0.2, 0.0, ',"referrer":"https://www.google.com/"'),
        ("paid_search", 0.16, 0.1, 0.2, ',"utm_source":"google","utm_medium":"cpc","utm_campaign":"marca"'),
        (
            "paid_social",
            0.18,
            0.3,
            -0.2,
            ',"utm_source":"instagram","utm_medium":"paid","utm_campaign":"sol"',
        ),
        ("email", 0.12, -0.2, 0.2, ',"utm_source":"boletim","utm_medium":"email","utm_campaign":"ofertas"'),
    ],
    columns=["name", "share", "log_hazard", "logit_propensity", "first_event_keys"],
)
DEVICES = pd.DataFrame(
    [
        ("desktop", 0.34, 0.1, "web"),
        ("mobile", 0.22, -0.1, "web"),
        ("Galaxy A54", 0.20, 0.0, "android"),
        ("Moto G84", 0.12, 0.0, "android"),
        ("iPhone 13", 0.12, 0.1, "ios"),
    ],
    columns=["name", "share", "logit_propensity", "platform"],
)
COUNTRIES = {"BR": 0.97, "PT": 0.015, "US": 0.01, "AR": 0.005}  # bots: all but the first
SETTINGS = [
    f',"platform":"{platform}","device":"{device}","country":"{country}","ab_variant":"{variant}"'
    for device, platform in DEVICES[["name", "platform"]].to_numpy()
    for country in COUNTRIES
    for variant in ("controle", "frete_gratis")
]
SEGMENTS = ("occasional", "decided", "browser", "enthusiast")  # by the signs of engagement and intent
EVENTS = ("page_view", "search", "view_item", "add_to_cart", "begin_checkout", "purchase", "login")
PAGE_VIEW, SEARCH, VIEW_ITEM, ADD_TO_CART, _, PURCHASE, LOGIN = range(len(EVENTS))
ITEMS = 2_000
KINDS = ("on time", "late", "duplicate")
PAGES = ("/", "/calcados", "/celulares", "/cozinha", "/esporte", "/livros", "/moda", "/moveis", "/ofertas")
TERMS = ("tênis", "celular", "air fryer", "mochila", "fone", "vestido", "sofá", "cafeteira", "bicicleta")

# `concat` skips nulls, so an absent value leaves no key.
# Faults: 1 cut short, 2 without timestamp, 3 not JSON, 4 an impossible time.
LINES = """
    with lines as (
        select fault, concat(
            '{"event_id":"', event_id, '","event":"', event, '"',
            case fault
                when 2 then null
                when 4 then ',"timestamp":"2025-02-31T25:61:00Z"'
                else concat(',"timestamp":"', strftime(ts, '%Y-%m-%dT%H:%M:%S.%gZ'), '"')
            end,
            ',"received_at":"', strftime(received, '%Y-%m-%dT%H:%M:%S.%gZ'), '"',
            ',"user_id":"u' || person || '"', ',"anonymous_id":"', anonymous_id, '"',
            ',"session_id":"s' || visit || '"',
            ',"page":"', case event
                when 'page_view' then topic
                when 'search' then concat('/busca","search_term":"', topic)
                when 'begin_checkout' then '/checkout'
                when 'purchase' then '/pedido-confirmado'
                when 'login' then '/entrar'
                else concat('/produto/', item)
            end, '"',
            landing, setting,
            ',"item_id":"' || item || '"', ',"quantity":' || quantity,
            ',"revenue":' || cents // 100 || '.' || lpad(cast(cents % 100 as varchar), 2, '0')
            || ',"currency":"BRL"',
            ',"coupon":"' || coupon || '"', '}'
        ) as line
        from events
    )
    select concat(
        case fault when 1 then left(line, length(line) // 2) when 3 then '<h1>502</h1>' else line end, chr(10)
    )
    from lines
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shop:
    """What to simulate. `duplicates` and `late` are shares of events, `malformed` of lines."""

    events: int = 200_000
    days: int = 120
    seed: int = 7
    start: dt.date = dt.date(2025, 1, 1)
    duplicates: float = 0.02
    late: float = 0.03
    malformed: float = 1 / 5_000

    def __post_init__(self) -> None:
        if self.events < 1 or self.days < 1 or self.seed < 0:
            raise ValueError("events and days must be at least 1, the seed at least 0")
        if not all(0 <= share < 1 for share in (self.duplicates, self.late, self.malformed)):
            raise ValueError("duplicates, late and malformed are shares: at least 0 and below 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What was written: lines = events + duplicates + malformed; the late are among the events."""

    lines: int
    events: int
    duplicates: int
    late: int
    malformed: int
    pending: int
    users: int
    bots: int


class Clock:
    """The shop's time W: how many average days' worth of visits fall between two moments.

    Moments are days since `start` 00:00 UTC, with fractions, from a year before to a day after the span.
    """

    def __init__(self, start: dt.date, days: int) -> None:
        hours = np.arange(-24 * WARM_UP_DAYS, 24 * (days + 1) + 1)
        utc = pd.Timestamp(start, tz="UTC") + pd.to_timedelta(hours[:-1], "h")
        local = utc.tz_convert("America/Sao_Paulo")
        season = 1 + 0.08 * np.cos(2 * np.pi * (local.day_of_year - 330) / 365.25)  # highest in late November
        pay_day = np.where((local.day >= 5) & (local.day <= 7), 1.15, 1.0)  # wages: the fifth working day
        weight = HOURS[local.hour] / HOURS.sum() * WEEKDAYS[local.day_of_week] * season * pay_day
        self._moments, self._weights = hours / 24, np.concatenate([[0.0], np.cumsum(weight)])

    def weight(self, moment: Array) -> Array:
        """W at these moments."""
        return np.asarray(np.interp(moment, self._moments, self._weights))

    def moment(self, weight: Array) -> Array:
        """The moments at which W has these values."""
        return np.asarray(np.interp(weight, self._weights, self._moments))


def exposure(tenure: Array) -> Array:
    """Return the integral of 1 + 6 exp(-s / 10) over tenures in days: someone stays with exp(-h exposure)."""
    return np.asarray(tenure - EARLY_HAZARD * EARLY_DAYS * np.expm1(-tenure / EARLY_DAYS))


def probability_of_none(
    shop: Shop,
    people: pd.DataFrame,
    *,
    last_visit: npt.ArrayLike,
    cutoff: dt.datetime,
    horizon_days: float,
    buying: bool = False,
) -> Array:
    """Return the best achievable P(no visit in [cutoff, cutoff + horizon)) of each person, shape (n,).

    With G(a, b) the probability, for someone here at a, of leaving before b without a visit since a, and
    S(a, b) that of staying without a visit, it is

        (G(v, c) + S(v, c) (G(c, c + H) + S(c, c + H))) / (G(v, c) + S(v, c)).

    Args:
        shop: The `Shop` that was simulated.
        people: n rows of the truth.
        last_visit: When each one's last visit before the cutoff began, UTC, shape (n,).
        cutoff: The moment to look ahead from, UTC.
        horizon_days: How far to look.
        buying: Ask for P(no purchase) instead: of the visits after the cutoff only those that buy count.
    """
    arrived, visited, now = (
        (np.asarray(times, "M8[us]") - np.datetime64(shop.start)) / np.timedelta64(1, "D")
        for times in (people["arrived_at"], last_visit, cutoff)
    )
    clock = Clock(shop.start, int(now + horizon_days) + 1)
    hazard, rate, propensity = people[["churn_hazard", "visit_rate", "purchase_propensity"]].to_numpy().T

    def quiet(rate: Array, since: Array, until: Array, steps: int = 64) -> tuple[Array, Array]:
        left, stays = np.zeros(len(people)), np.ones(len(people))
        for step in range(steps):  # exact for W and exposure linear within a step
            begin, end = since + (until - since) * step / steps, since + (until - since) * (step + 1) / steps
            leaving = hazard * (exposure(end - arrived) - exposure(begin - arrived))
            ending = leaving + rate * (clock.weight(end) - clock.weight(begin))
            left += stays * leaving * -np.expm1(-ending) / np.maximum(ending, 1e-12)
            stays *= np.exp(-ending)
        return left, stays

    left, stays = quiet(rate, visited, now)
    after = np.sum(quiet(rate * propensity if buying else rate, now, now + horizon_days), axis=0)
    return np.asarray((left + stays * after) / (left + stays))


def draw_people(shop: Shop, clock: Clock, rng: np.random.Generator) -> pd.DataFrame:
    """Draw people, as the module says, until their events and the bots' are expected to be enough."""
    blocks: list[pd.DataFrame] = []
    wanted = (1 - BOT_SHARE) * shop.events
    while wanted > 0:
        people = pd.DataFrame(rng.standard_normal((BLOCK, 2)), columns=["engagement", "intent"])
        engagement, intent = people["engagement"], people["intent"]
        people["channel"] = rng.choice(len(CHANNELS), BLOCK, p=CHANNELS["share"])
        people["device"] = rng.choice(len(DEVICES), BLOCK, p=DEVICES["share"])
        channel = CHANNELS.take(people["channel"].to_numpy()).reset_index()
        device = DEVICES.take(people["device"].to_numpy()).reset_index()
        logit = -2.9 + 0.4 * intent + channel["logit_propensity"] + device["logit_propensity"]
        people["visit_rate"] = 0.15 * np.exp(0.9 * engagement)
        people["churn_hazard"] = np.exp(-0.25 * engagement - 0.35 * intent + channel["log_hazard"]) / 100
        people["purchase_propensity"] = 1 / (1 + np.exp(-logit))
        people["browse_depth"] = 2.5 * np.exp(0.6 * intent)
        people["segment"] = 2 * (engagement > 0) + (intent > 0)
        people["registered"] = rng.random(BLOCK) < 0.8
        people["devices"] = 1 + people["registered"] * rng.choice(SLOTS, BLOCK, p=[0.7, 0.25, 0.05])
        first, last = clock.weight(np.array([-WARM_UP_DAYS, shop.days]))
        people["arrived"] = clock.moment(rng.uniform(first, last, BLOCK))
        tenures = np.append(np.arange(0, 20 * EARLY_DAYS, 0.01), 1e9)
        endured = rng.exponential(1 / people["churn_hazard"])
        people["left"] = people["arrived"] + np.interp(endured, exposure(tenures), tenures)

        people = people[people["left"] > 0]
        stay = np.subtract(*clock.weight(people[["left", "arrived"]].clip(0, shop.days).to_numpy()).T)
        hurdle = np.cbrt(people["purchase_propensity"])
        size = 1 + people["browse_depth"] + 2 * hurdle + hurdle**2 + hurdle**3 + 0.12 * people["registered"]
        expected = (size * (people["visit_rate"] * stay + (people["arrived"] >= 0))).cumsum()
        blocks.append(people[expected.shift(fill_value=0.0) < wanted])
        wanted -= expected.iloc[-1]
    return pd.concat(blocks, ignore_index=True)


class World:
    """The shop's people and their devices, what it sells, and who is logged in where."""

    def __init__(self, shop: Shop) -> None:
        rng = np.random.default_rng((shop.seed, 0))
        self.shop, self.clock = shop, Clock(shop.start, shop.days)
        self.people = draw_people(shop, self.clock, rng)
        self.bots = max(1, round(BOT_SHARE * shop.events / VIEWS_PER_BOT))
        n, devices = len(self.people), SLOTS * len(self.people) + self.bots
        self.left = self.people["left"].to_numpy(copy=True)
        self.visits, self.purchases = np.zeros((2, n), np.int64)

        drawn = rng.bytes(8 * devices).hex()
        self.anonymous_ids = pa.array(drawn[at : at + 16] for at in range(0, len(drawn), 16))
        self.device_of = np.arange(SLOTS * n).reshape(n, SLOTS)
        sharers = np.flatnonzero(self.people["devices"] == SLOTS)[::3]
        lent = SLOTS * rng.choice(np.flatnonzero(self.people["registered"]), len(sharers))
        self.device_of[sharers, -1] = lent
        self.shared, self.logged_in = np.zeros((2, devices), bool)
        self.shared[lent] = True

        device = rng.choice(len(DEVICES), devices, p=DEVICES["share"])
        device[: SLOTS * n : SLOTS] = self.people["device"]
        country = np.repeat(rng.choice(len(COUNTRIES), n, p=list(COUNTRIES.values())), SLOTS)
        country = np.append(country, rng.integers(1, len(COUNTRIES), self.bots))
        self.setting = (device * len(COUNTRIES) + country) * 2 + rng.integers(0, 2, devices)
        self.cents = 990 + 10 * np.exp(rng.normal(6.4, 0.9, ITEMS)).astype(int)
        self.crawl_gap_ms = rng.integers(2_000, 20_000, self.bots)

    def visit(self, day: int, rng: np.random.Generator) -> pa.Table:
        """Return the events of the visits that people begin on a day."""
        who, begin = self._begin_visits(day, rng)
        n, people = len(who), self.people.take(who)
        registered, luck = people["registered"].to_numpy(), rng.random(n)
        cleared = np.cbrt(people["purchase_propensity"].to_numpy())
        stage = np.sum(luck < cleared ** np.array([[1], [2], [3]]), axis=0)  # cart, checkout, purchase
        browse = rng.geometric(1 / (1 + people["browse_depth"]))
        device = self.device_of[who, np.where(rng.random(n) < 0.7, 0, rng.integers(0, people["devices"]))]
        shared = self.shared[device]
        logged_in = registered & self.logged_in[device] & (rng.random(n) < 0.97)
        logs_in = registered & ~logged_in & ((rng.random(n) < 0.5) | shared | (stage >= 2))
        login_at = np.select([logged_in, logs_in & (stage >= 2), logs_in], [-1, browse + 2, 1], 10**6)
        self.logged_in[device[logs_in & ~shared]] = True

        size = browse + stage + (stage > 0) + logs_in  # whoever fills a cart views one item more
        of, at = np.repeat(np.arange(n), size), _count_up(size)
        beyond = at - browse[of] - ((login_at[of] >= 0) & (at > login_at[of]))
        event = rng.choice([SEARCH, PAGE_VIEW, VIEW_ITEM], len(of), p=[0.15, 0.25, 0.6])
        event = np.where(at == 0, PAGE_VIEW, np.where(beyond >= 0, VIEW_ITEM + beyond, event))
        event[at == login_at[of]] = LOGIN
        gap = 300 + np.fmod(1000 * rng.lognormal(3.0, 1.4, len(of)), 1_790_000)  # below 30 minutes
        since = np.cumsum(np.where(at == 0, 0, gap))
        since -= since[np.cumsum(size) - size][of]
        session = self.visits.sum() + of

        np.maximum.at(self.left, who[of], begin[of] + (since + 1) / DAY_MS)  # nobody leaves during a visit
        self.visits += np.bincount(who, minlength=len(self.visits))
        self.purchases += np.bincount(who[stage == 3], minlength=len(self.visits))
        item = np.where(beyond >= 0, _items(rng, n)[of], _items(rng, len(of)))
        buying, bought = (event >= ADD_TO_CART) & (event <= PURCHASE), event == PURCHASE
        quantity, coupon = 1 + rng.poisson(0.25, n)[of], bought & (rng.random(n) < 0.15)[of]
        cents = self.cents[item] * quantity * np.where(coupon, 90, 100) // 100
        channel = np.where(rng.random(n) < 0.6, people["channel"], 0)  # others come back by themselves
        topic = np.where(event == SEARCH, len(PAGES) + item % len(TERMS), item % len(PAGES))
        columns: Columns = {
            "event": _named(EVENTS, event),
            "topic": _named(PAGES + TERMS, topic),
            "person": pa.array(who[of], mask=at < login_at[of]),
            "visit": pa.array(session),
            "landing": _named(list(CHANNELS["first_event_keys"]), np.where(at == 0, channel[of], -1)),
            "item": pa.array(item, mask=~buying & (event != VIEW_ITEM)),
            "quantity": pa.array(quantity, mask=~buying),
            "cents": pa.array(cents, mask=~bought),
            "coupon": _named(["VOLTE10"], coupon - 1),
        }
        return self._events(rng, begin[of] + since / DAY_MS, device[of], columns)

    def _begin_visits(self, day: int, rng: np.random.Generator) -> tuple[Array, Array]:
        arrived, rate = self.people[["arrived", "visit_rate"]].to_numpy().T
        opening, closing = self.clock.weight(np.array([day, day + 1]))
        present = np.flatnonzero((arrived < day + 1) & (self.left > day))
        who = np.repeat(present, rng.poisson(rate[present] * (closing - opening)))
        begin = self.clock.moment(rng.uniform(opening, closing, len(who)))
        here = (arrived[who] <= begin) & (begin < self.left[who])
        new = np.flatnonzero((arrived >= day) & (arrived < day + 1))
        return np.append(who[here], new), np.append(begin[here], arrived[new])

    def crawl(self, day: int, rng: np.random.Generator) -> pa.Table:
        """Return the page views, at regular gaps, of the bots whose day it is."""
        every = min(CRAWL_EVERY_DAYS, self.shop.days)
        bots = np.flatnonzero(np.arange(self.bots) % every == day % every)
        views = max(1, round(BOT_SHARE * self.shop.events / self.bots * every / self.shop.days))
        of, at = np.repeat(bots, views), np.tile(np.arange(views), len(bots))
        moment = day + rng.random(self.bots)[of] / 2 + at * self.crawl_gap_ms[of] / DAY_MS
        topic = _named(PAGES + TERMS, rng.integers(0, len(PAGES), len(of)))
        columns = {"event": _named(EVENTS, np.full(len(of), PAGE_VIEW)), "topic": topic}
        return self._events(rng, moment, SLOTS * len(self.people) + of, columns)

    def _events(self, rng: np.random.Generator, moment: Array, device: Array, columns: Columns) -> pa.Table:
        ts = self.epoch_ms(moment)
        ids = np.frombuffer(rng.bytes(16 * len(ts)), np.uint8).reshape(-1, 16).copy()  # UUIDs of version 7
        ids[:, :6] = ts.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 2:]
        ids[:, 6], ids[:, 8] = ids[:, 6] & 0x0F | 0x70, ids[:, 8] & 0x3F | 0x80
        storage = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ts), [None, pa.py_buffer(ids)])
        made = {
            "event_id": pa.ExtensionArray.from_storage(pa.uuid(), storage),
            "ts": pa.array(ts, pa.timestamp("ms")),
            "anonymous_id": self.anonymous_ids.take(pa.array(device)),
            "setting": _named(SETTINGS, self.setting[device]),
        }
        return pa.table(made | columns)

    def epoch_ms(self, moment: Array) -> Array:
        """Return moments of the clock as milliseconds since 1970, UTC."""
        midnight = np.datetime64(self.shop.start, "ms").astype(int)
        return np.asarray(np.rint(moment * DAY_MS).astype(int) + midnight)

    def truth(self) -> pa.Table:
        """Return one row per person, as the module says."""
        owned = np.arange(SLOTS) < self.people["devices"].to_numpy()[:, None]
        offsets = pa.array(np.append(0, np.cumsum(self.people["devices"])), pa.int32())
        arrived, left, at = self.people["arrived"].to_numpy(), self.left, pa.timestamp("ms")
        columns = {
            "user_id": [f"u{number}" for number in range(len(owned))],
            "anonymous_ids": pa.ListArray.from_arrays(
                offsets, self.anonymous_ids.take(pa.array(self.device_of[owned]))
            ),
            "arrived_at": pa.array(self.epoch_ms(arrived), at),
            "churned_at": pa.array(self.epoch_ms(left), at, mask=left >= self.shop.days),
            "channel": CHANNELS["name"].to_numpy()[self.people["channel"]],
            "platform": DEVICES["platform"].to_numpy()[self.people["device"]],
            "segment": np.array(SEGMENTS)[self.people["segment"]],
            "visits": self.visits,
            "purchases": self.purchases,
        }
        traits = ("engagement", "intent", "visit_rate", "churn_hazard", "purchase_propensity", "browse_depth")
        columns |= {name: self.people[name].to_numpy() for name in (*traits, "registered")}
        metadata = {"shop": json.dumps(dataclasses.asdict(self.shop), default=str)}
        return pa.table(columns).replace_schema_metadata(metadata)


def _items(rng: np.random.Generator, size: int) -> Array:
    return (ITEMS * rng.random(size) ** 3).astype(int)  # a few sell most


def _count_up(sizes: Array) -> Array:
    """Return 0, 1, … up to each size, one after another."""
    return np.asarray(np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes))


def _log_uniform(rng: np.random.Generator, low: int, high: int, size: int) -> Array:
    return np.ceil(np.exp(rng.uniform(np.log(low), np.log(high), size))).astype(int)


def _named(names: Sequence[str], index: Array) -> pa.Array:
    """Return names by their index, null where it is negative."""
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int8), mask=index < 0), pa.array(names))


def _deliver(events: pa.Table, shop: Shop, rng: np.random.Generator) -> pa.Table:
    """Set when each event is received, and append those sent again."""
    n = len(events)
    late = rng.random(n) < shop.late
    delay = np.where(late, _log_uniform(rng, HOUR_MS, 7 * DAY_MS, n), rng.lognormal(6.2, 0.8, n).astype(int))
    again = np.flatnonzero(rng.random(n) < shop.duplicates)
    wait = _log_uniform(rng, 60_000, 7 * DAY_MS, len(again)) * (rng.random(len(again)) < 0.5)
    delay = np.append(delay, delay[again] + wait).astype("m8[ms]")
    kind = _named(("on time", "late", "duplicate"), np.append(late, np.full(len(again), 2)))
    sent = pa.concat_tables([events, events.take(again)])
    return sent.append_column("received", pa.array(sent["ts"].to_numpy() + delay)).append_column("kind", kind)


def _break(arrivals: pa.Table, shop: Shop, rng: np.random.Generator) -> pa.Table:
    """Add broken copies of some lines, and put all in the order of their arrival."""
    broken = np.flatnonzero(rng.random(len(arrivals)) < shop.malformed)
    rows = np.append(np.arange(len(arrivals)), broken)
    fault = np.pad(rng.integers(1, 5, len(broken)), (len(arrivals), 0))
    order = np.argsort(arrivals["received"].to_numpy()[rows], kind="stable")
    return arrivals.take(rows[order]).append_column("fault", pa.array(fault[order]))


def _write(path: Path, events: pa.Table, connection: duckdb.DuckDBPyConnection) -> None:
    lines = connection.register("events", events).sql(LINES).to_arrow_table().column(0)
    with path.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as zipped:
        for chunk in lines.chunks:
            zipped.write(chunk.buffers()[2])


def simulate(shop: Shop, out: Path, *, on_day: Callable[[], object] = lambda: None) -> Summary:
    """Write a shop's dumps and its truth below a directory; the dumps appear all at once, at the end.

    Args:
        shop: What to simulate.
        out: Gets `landing/shop/` and `truth/`.
        on_day: Called after each day.

    Raises:
        FileExistsError: `landing/shop` holds files already.
    """
    landing, staging = out / "landing" / "shop", out / ".simulating"
    if landing.exists() and any(landing.iterdir()):
        raise FileExistsError(f"{landing} holds files already: move them away, or choose another directory")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    world, counts = World(shop), Counter[str]()
    under_way: defaultdict[int, list[pa.Table]] = defaultdict(list)
    with duckdb.connect(config={"threads": 1}) as connection:
        for day in range(shop.days):
            rng = np.random.default_rng((shop.seed, 1 + day))
            made = [world.visit(day, rng), world.crawl(day, rng)]
            sent = _deliver(pa.concat_tables(made, promote_options="default"), shop, rng)
            due = (sent["received"].to_numpy() - np.datetime64(shop.start)) // np.timedelta64(1, "D")
            for day_due in np.unique(due):
                under_way[day_due].append(sent.filter(pa.array(due == day_due)))
            arrivals = pa.concat_tables(under_way.pop(day, [sent.slice(0, 0)])).combine_chunks()
            lines = _break(arrivals, shop, rng)
            _write(staging / f"events-{shop.start + dt.timedelta(day)}.jsonl.gz", lines, connection)
            for kind in arrivals["kind"].value_counts().to_pylist():
                counts[kind["values"]] += kind["counts"]
            counts["malformed"] += len(lines) - len(arrivals)
            on_day()
    landing.mkdir(parents=True, exist_ok=True)
    (out / "truth").mkdir(exist_ok=True)
    pq.write_table(world.truth(), staging / "users.parquet")
    (staging / "users.parquet").replace(out / "truth" / "users.parquet")
    staging.replace(landing)
    return Summary(
        lines=counts.total(),
        events=counts["on time"] + counts["late"],
        duplicates=counts["duplicate"],
        late=counts["late"],
        malformed=counts["malformed"],
        pending=sum(len(sent) for batches in under_way.values() for sent in batches),
        users=len(world.people),
        bots=world.bots,
    )


def main() -> None:
    """Simulate what the command line asks for."""
    shop = Shop()
    parser = argparse.ArgumentParser(description="Simulate a web shop's event dumps, and their truth.")
    parser.add_argument("--out", type=Path, required=True, help="directory to hold landing/shop/ and truth/")
    for name in ("events", "days", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(shop, name), help="default %(default)s")
    parser.add_argument("--start", type=dt.date.fromisoformat, default=shop.start, help="default %(default)s")
    given = vars(parser.parse_args())
    out, console = given.pop("out"), Console(stderr=True)
    try:
        shop = Shop(**given)
        with Progress(console=console) as progress:
            task = progress.add_task("Simulating days", total=shop.days)
            summary = simulate(shop, out, on_day=lambda: progress.advance(task))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    console.print(", ".join(f"{count:,} {name}" for name, count in dataclasses.asdict(summary).items()))


if __name__ == "__main__":
    main()
