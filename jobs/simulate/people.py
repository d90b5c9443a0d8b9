"""Who lives in a simulated world: card holders and terminals, their places and habits, drawn once from the seed.
What happens on a day is in simulate_day."""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jobs.arrays import Floats, Ints
from jobs.simulate.world import REGIONS, World

# Category: share of all terminals, price level (a holder's usual amount is multiplied by it).
CATEGORIES = {
    "grocery": (0.28, 0.9),
    "restaurant": (0.18, 0.95),
    "fuel": (0.10, 1.05),
    "clothing": (0.12, 1.2),
    "pharmacy": (0.08, 0.8),
    "leisure": (0.10, 1.0),
    "electronics": (0.05, 1.5),
    "online": (0.09, 1.1),
}
FAVOURITES = 16
NEW_FAVOURITES = 3


def stream(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """Random numbers that depend on nothing but these arguments: each purpose and day has its own, so a day can be made
    alone, and a change in one part of the world leaves the draws of all others as they were."""
    return np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(purpose.encode()), *place)))


@dataclass(frozen=True)
class Customers:
    """One row per card holder: place, first day, usual amount, payments per day, the three hours around which the day
    goes and the cumulated weight of each, favourite terminals (best first)."""

    place: Floats
    region: Ints
    joined: Ints
    level: Floats
    rate: Floats
    hours: Floats
    hour_weights: Floats
    favourites: Ints


@dataclass(frozen=True)
class Terminals:
    """One row per terminal: place, first day, category; and the terminals of the first day in the order of regions."""

    place: Floats
    region: Ints
    opened: Ints
    category: Ints
    price: Floats
    by_region: Ints
    region_start: Ints
    online: Ints


@dataclass(frozen=True)
class Opening:
    """One group of terminals that open later: ids [first, last), since when, whom they attract and how much."""

    since: int
    first: int
    last: int
    attraction: float
    favourites: Ints


@dataclass(frozen=True)
class People:
    """Everybody: the values that all days share."""

    customers: Customers
    terminals: Terminals
    openings: tuple[Opening, ...]

    def cards(self, day: int) -> int:
        """How many cards a campaign chooses from, on any day (some of them may not be held yet)."""
        return len(self.customers.level)

    def terminals_known(self, day: int) -> int:
        """How many terminals a campaign that starts on this day chooses from (some of them may not be open yet)."""
        trickle, *scripted = self.openings
        return max([trickle.last, *(opening.last for opening in scripted if opening.since <= day)])


# Days are made one at a time by callers that hold only the world, and drawing its people costs as much as many days.
@lru_cache(maxsize=8)
def people(world: World) -> People:
    """Draw all people who are, or will be, in this world."""
    towns = _towns(world)
    groups = _group_sizes(world)
    terminals = _terminals(world, towns, groups)
    customers = _customers(world, towns, terminals)
    return People(customers, terminals, _openings(world, customers, terminals, groups))


def _towns(world: World) -> tuple[Floats, Floats]:
    rng = stream(world.seed, "towns")
    centres = rng.uniform(10, 90, (len(REGIONS), 2))
    sizes = rng.uniform(0.5, 2.0, len(REGIONS))
    return centres, sizes / sizes.sum()


def _group_sizes(world: World) -> list[int]:
    return [world.terminals] + [max(1, round(opening.share * world.terminals)) for _, opening in world.openings()]


def _places(rng: np.random.Generator, towns: tuple[Floats, Floats], count: int) -> tuple[Floats, Ints]:
    centres, sizes = towns
    region = rng.choice(len(REGIONS), count, p=sizes)
    # Every region has customers, however small the world.
    region[: len(REGIONS)] = np.arange(min(count, len(REGIONS)))
    return np.round(centres[region] + rng.normal(0, 4, (count, 2)), 3), region.astype(np.int64)


def _past_days(rng: np.random.Generator, world: World, count: int) -> Ints:
    return world.start.toordinal() - 1 - rng.exponential(900, count).astype(np.int64)


def _terminals(world: World, towns: tuple[Floats, Floats], groups: list[int]) -> Terminals:
    places, regions, opened, categories = [], [], [], []
    shares = np.array([share for share, _ in CATEGORIES.values()])
    since = [(world.start, None), *world.openings()]
    for number, (count, (day, opening)) in enumerate(zip(groups, since, strict=True)):
        rng = stream(world.seed, "terminals", number)
        place, region = _places(rng, towns, count)
        places.append(place)
        regions.append(region)
        categories.append(rng.choice(len(CATEGORIES), count, p=shares))
        spread = 0 if opening is None else opening.over_days
        later = day.toordinal() + np.sort(rng.integers(0, max(1, spread), count))
        opened.append(_past_days(rng, world, count) if opening is None else later)
    region, category = np.concatenate(regions), np.concatenate(categories)
    by_region = np.argsort(region[: world.terminals], kind="stable")
    return Terminals(
        place=np.concatenate(places),
        region=region,
        opened=np.concatenate(opened),
        category=category,
        price=np.array([price for _, price in CATEGORIES.values()])[category],
        by_region=by_region,
        region_start=np.searchsorted(region[by_region], np.arange(len(REGIONS) + 1)),
        online=_online(category[: world.terminals]),
    )


def _online(category: Ints) -> Ints:
    online = np.flatnonzero(category == list(CATEGORIES).index("online"))
    # In a tiny world no terminal may sell online; its thieves then test cards at its first terminal.
    return online if len(online) else np.zeros(1, dtype=np.int64)


def _customers(world: World, towns: tuple[Floats, Floats], terminals: Terminals) -> Customers:
    rng = stream(world.seed, "customers")
    joining = max(1, round(0.04 * world.customers))
    count = world.customers + joining
    place, region = _places(rng, towns, count)
    later = world.start.toordinal() + np.sort(rng.integers(0, 730, joining))
    weights = rng.dirichlet((2, 3, 4), count)
    return Customers(
        place=place,
        region=region,
        joined=np.concatenate([_past_days(rng, world, world.customers), later]),
        level=np.exp(rng.normal(3.4, 0.55, count)),
        rate=rng.gamma(2.5, 1.5 / 2.5, count),
        hours=np.array([8.3, 12.9, 18.6]) + rng.normal(0, 0.8, (count, 3)),
        hour_weights=np.cumsum(weights, axis=1),
        favourites=_nearest(rng, place, terminals.place, _neighbours(rng, region, terminals), FAVOURITES),
    )


def _neighbours(rng: np.random.Generator, region: Ints, terminals: Terminals) -> Ints:
    """96 terminals of each one's own region, drawn with replacement."""
    return pick_in_region(terminals, region[:, None], rng.random((len(region), 96)))


def pick_in_region(terminals: Terminals, region: Ints, luck: Floats) -> Ints:
    """The terminal at this share (in [0, 1)) of the region's list."""
    start, end = terminals.region_start[region], terminals.region_start[region + 1]
    chosen: Ints = terminals.by_region[start + (luck * (end - start)).astype(np.int64)]
    return chosen


def _nearest(rng: np.random.Generator, homes: Floats, places: Floats, candidates: Ints, count: int) -> Ints:
    distance = np.hypot(*np.moveaxis(homes[:, None, :] - places[candidates], 2, 0))
    # People do not measure distances: a third more or less makes no difference to them.
    order = np.argsort(distance * rng.uniform(0.7, 1.3, distance.shape), axis=1)[:, :count]
    nearest: Ints = np.take_along_axis(candidates, order, axis=1)
    return nearest


def _openings(world: World, customers: Customers, terminals: Terminals, groups: list[int]) -> tuple[Opening, ...]:
    openings, first = [], groups[0]
    for number, ((since, opening), count) in enumerate(zip(world.openings(), groups[1:], strict=True)):
        rng = stream(world.seed, "attracted", number)
        candidates = first + rng.integers(0, count, (len(customers.region), 24))
        nearest = _nearest(rng, customers.place, terminals.place, candidates, NEW_FAVOURITES)
        openings.append(Opening(since.toordinal(), first, first + count, opening.attraction, nearest))
        first += count
    return tuple(openings)
