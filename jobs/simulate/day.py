"""One day of a simulated world: what holders pay, what thieves add, and which payments are fraud.
A day depends on the world and its date alone; no day looks at what another one made."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jobs.arrays import Floats, Ints
from jobs.simulate.people import FAVOURITES, People, people, pick_in_region, stream
from jobs.simulate.world import World

KINDS = ("legitimate", "skimming", "stolen_card", "card_testing", "takeover", "siphoning")
LEGITIMATE, SKIMMING, STOLEN, TESTING, TAKEOVER, SIPHONING = range(len(KINDS))

# Monday to Sunday; their mean is 1.
WEEK = (0.93, 0.92, 0.95, 0.99, 1.14, 1.19, 0.88)
DAY_SECONDS = 86_400
_RANKS = 1.0 / (np.arange(FAVOURITES) + 2.0)
_RANK_SHARE = np.cumsum(_RANKS / _RANKS.sum())


class Payments(NamedTuple):
    """Columns of equal length: second of the day, customer, terminal, amount, index into KINDS."""

    second: Ints
    customer: Ints
    terminal: Ints
    amount: Floats
    kind: Ints


class Campaigns(NamedTuple):
    """Columns of equal length: index of the target, ordinal of the first day after it, its own number in [0, 1)."""

    target: Ints
    end: Ints
    luck: Floats


def payments(world: World, day: date) -> Payments:
    """All payments of one day by time (equal seconds in a fixed order)."""
    population, number = people(world), day.toordinal()
    own = _blamed(world, population, day, _own_payments(world, population, day))
    parts = [own, *(make(world, population, day) for make in (_bursts, _stolen, _tested, _taken_over))]
    payments = Payments._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    keep = (population.customers.joined[payments.customer] <= number) & (payments.second < DAY_SECONDS)
    order = np.flatnonzero(keep)[np.argsort(payments.second[keep], kind="stable")]
    return Payments._make(column[order] for column in payments)


def _own_payments(world: World, population: People, day: date) -> Payments:
    customers, terminals = population.customers, population.terminals
    spending, rng = world.spending_on(day), stream(world.seed, "payments", day.toordinal())
    counts = rng.poisson(customers.rate * WEEK[day.weekday()] * spending.rate)
    customer = np.repeat(np.arange(len(counts)), counts)
    rank = np.searchsorted(_RANK_SHARE[:-1], rng.random(len(customer)), side="right")
    anywhere = rng.integers(0, world.terminals, len(customer))
    terminal = np.where(rng.random(len(customer)) < spending.roaming, anywhere, customers.favourites[customer, rank])
    terminal, trip = _away(world, population, day, customer, _attracted(world, population, day, customer, terminal))
    noise = np.exp(rng.normal(0, 0.35, len(customer)))
    amount = customers.level[customer] * terminals.price[terminal] * noise * trip * spending.amount
    second = _seconds(population, rng, customer, spending.later_hours + (day.weekday() >= 5))
    return Payments(second, customer, terminal, _money(amount), np.zeros_like(customer))


def _seconds(population: People, rng: np.random.Generator, customer: Ints, later: float) -> Ints:
    customers = population.customers
    part = (rng.random(len(customer))[:, None] > customers.hour_weights[customer, :2]).sum(axis=1)
    hour = customers.hours[customer, part] + rng.normal(later, 1.5, len(customer))
    any_time = rng.random(len(customer)) < 0.03
    hour = np.where(any_time, rng.uniform(0, 24, len(customer)), hour) % 24.0
    seconds: Ints = (hour * 3600).astype(np.int64) % DAY_SECONDS
    return seconds


def _attracted(world: World, population: People, day: date, customer: Ints, terminal: Ints) -> Ints:
    for number, opening in enumerate(population.openings):
        if opening.since > day.toordinal():
            continue
        rng = stream(world.seed, "attracted", number, day.toordinal())
        new = opening.favourites[customer, rng.integers(0, opening.favourites.shape[1], len(customer))]
        goes = (rng.random(len(customer)) < opening.attraction) & (population.terminals.opened[new] <= day.toordinal())
        terminal = np.where(goes, new, terminal)
    return terminal


def _away(world: World, population: People, day: date, customer: Ints, terminal: Ints) -> tuple[Ints, Floats]:
    """Holders on a trip pay in another region, and more: what makes a thief's payments hard to tell."""
    trips = _running(world, "trips", day, 2.5, population.cards, (3, 10))
    region = np.full(len(population.customers.level), -1)
    region[trips.target] = (trips.luck * (len(population.terminals.region_start) - 1)).astype(np.int64)
    where = region[customer]
    luck = stream(world.seed, "away", day.toordinal()).random(len(customer))
    terminals = pick_in_region(population.terminals, np.maximum(where, 0), luck)
    return np.where(where >= 0, terminals, terminal), np.where(where >= 0, 1.4, 1.0)


def _blamed(world: World, population: People, day: date, own: Payments) -> Payments:
    """Which of the holders' own payments a fraudster has taken over: no column but `kind` changes."""
    fraud, number = world.fraud_on(day), day.toordinal()
    luck = stream(world.seed, "blame", number).random(len(own.second))
    terminals_known = population.terminals_known
    skimmed = _running(world, "skimming", day, fraud.skimmed_terminals, terminals_known, fraud.skimmed_days)
    at_skimmed = np.isin(own.terminal, skimmed.target) & (luck < fraud.skimmed_share)
    hour = own.second / 3600
    late = (hour >= fraud.siphoned_hours[0]) & (hour < fraud.siphoned_hours[1])
    siphoned = late & (own.amount > fraud.siphoned_above) & (luck < fraud.siphoned_share)
    return own._replace(kind=np.select([at_skimmed, siphoned], [SKIMMING, SIPHONING], LEGITIMATE))


def _stolen(world: World, population: People, day: date) -> Payments:
    """A thief uses the card for some days: terminals anywhere, amounts above the usual, while the holder pays on."""
    fraud, rng = world.fraud_on(day), stream(world.seed, "stolen payments", day.toordinal())
    cards = _running(world, "stolen", day, fraud.stolen_cards, population.cards, fraud.stolen_days).target
    customer = np.repeat(cards, rng.poisson(fraud.stolen_per_day, len(cards)))
    second = _between(rng, (8.0, 24.0), len(customer))
    terminal = rng.integers(0, world.terminals, len(customer))
    amount = _multiple(world, population, day, customer, terminal) * rng.uniform(*fraud.stolen_amounts, len(customer))
    return Payments(second, customer, terminal, _money(amount), np.full(len(customer), STOLEN))


def _bursts(world: World, population: People, day: date) -> Payments:
    """Holders make several small payments within minutes, as at a fair: a burst alone proves no fraud."""
    spending, rng = world.spending_on(day), stream(world.seed, "bursts", day.toordinal())
    holders = rng.integers(0, len(population.customers.level), rng.poisson(spending.bursts * world.customers / 1000))
    payments = rng.integers(spending.burst_payments[0], spending.burst_payments[1] + 1, len(holders))
    start, away = _between(rng, (8.0, 22.0), len(holders)), rng.random(len(holders)) < spending.bursts_away
    customer = np.repeat(holders, payments)
    second = np.repeat(start, payments) + (rng.random(len(customer)) * 60 * spending.burst_minutes).astype(np.int64)
    known = population.customers.favourites[customer, rng.integers(0, FAVOURITES, len(customer))]
    anywhere = rng.integers(0, world.terminals, len(customer))
    terminal = np.where(np.repeat(away, payments), anywhere, known)
    amount = _money(rng.uniform(*spending.burst_amounts, len(customer)))
    return Payments(second, customer, terminal, amount, np.full(len(customer), LEGITIMATE))


def _tested(world: World, population: People, day: date) -> Payments:
    """A burst of tiny payments shows that a card works; one to three hours later it is used once, for more."""
    fraud, rng = world.fraud_on(day), stream(world.seed, "testing payments", day.toordinal())
    cards = _running(world, "testing", day, fraud.tested_cards, population.cards, (1, 1)).target
    tiny = rng.integers(fraud.tested_payments[0], fraud.tested_payments[1] + 1, len(cards))
    # The latest start leaves room for the last payment on the same day.
    start, site = _between(rng, (0.0, 19.0), len(cards)), rng.choice(population.terminals.online, len(cards))
    customer = np.concatenate([np.repeat(cards, tiny), cards])
    burst = (rng.random(tiny.sum()) * 60 * fraud.tested_minutes).astype(np.int64)
    second = np.concatenate([np.repeat(start, tiny) + burst, start + _between(rng, (1.0, 3.0), len(cards))])
    purchased_at = rng.integers(0, world.terminals, len(cards))
    purchase = _multiple(world, population, day, cards, purchased_at) * rng.uniform(*fraud.tested_purchase, len(cards))
    amount = np.concatenate([rng.uniform(*fraud.tested_amounts, tiny.sum()), purchase])
    # Drawn last, so that a world that tests online has the payments that it always had.
    tested_at = np.repeat(site, tiny) if fraud.tested_online else rng.integers(0, world.terminals, tiny.sum())
    terminal = np.concatenate([tested_at, purchased_at])
    return Payments(second, customer, terminal, _money(amount), np.full(len(customer), TESTING))


def _taken_over(world: World, population: People, day: date) -> Payments:
    """Another person holds the account for a night or two, and pays while the holder sleeps, half of it online."""
    fraud, rng = world.fraud_on(day), stream(world.seed, "takeover payments", day.toordinal())
    cards = _running(world, "takeover", day, fraud.takeovers, population.cards, (1, 2)).target
    customer = np.repeat(cards, rng.integers(fraud.takeover_payments[0], fraud.takeover_payments[1] + 1, len(cards)))
    second = _between(rng, fraud.takeover_hours, len(customer))
    online, anywhere = population.terminals.online, rng.integers(0, world.terminals, len(customer))
    terminal = np.where(rng.random(len(customer)) < 0.5, rng.choice(online, len(customer)), anywhere)
    amount = _multiple(world, population, day, customer, terminal) * rng.uniform(*fraud.takeover_amounts, len(customer))
    return Payments(second, customer, terminal, _money(amount), np.full(len(customer), TAKEOVER))


def _multiple(world: World, population: People, day: date, customer: Ints, terminal: Ints) -> Floats:
    """What the holder usually pays there on that day."""
    level, price = population.customers.level[customer], population.terminals.price[terminal]
    usual: Floats = level * price * world.spending_on(day).amount
    return usual


def _between(rng: np.random.Generator, hours: tuple[float, float], count: int) -> Ints:
    seconds: Ints = (rng.uniform(*hours, count) * 3600).astype(np.int64)
    return seconds


def _money(amount: Floats) -> Floats:
    rounded: Floats = np.maximum(np.round(amount, 2), 0.5)
    return rounded


Pool = Callable[[int], int]


def _running(world: World, purpose: str, day: date, rate: float, pool: Pool, days: tuple[int, int]) -> Campaigns:
    """The campaigns under way on a day: those begun at most `days[1]` days ago and not over; no history is needed."""
    today = day.toordinal()
    starts = range(today - days[1] + 1, today + 1)
    begun = [_begun(world.seed, purpose, start, rate, pool(start), days) for start in starts]
    together = Campaigns._make(np.concatenate(columns) for columns in zip(*begun, strict=True))
    return Campaigns._make(column[together.end > today] for column in together)


# A campaign is asked for on each of its days; drawing it once makes a day twice as fast.
@lru_cache(maxsize=4096)
def _begun(seed: int, purpose: str, start: int, rate: float, pool: int, days: tuple[int, int]) -> Campaigns:
    rng = stream(seed, purpose, start)
    count = rng.poisson(rate * pool / 1000)
    target = rng.integers(0, pool, count)
    end = start + rng.integers(days[0], days[1] + 1, count)
    return Campaigns(target, end, rng.random(count))
