"""The simulated world as a value: how people pay, how fraud works, how it is reported, and what changes on which date.
Nothing random happens here; people and places are drawn in simulate_people, payments in simulate_day."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import TypeVar

from jobs.errors import Invalid

REGIONS = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple", "Oak", "Pine", "Rowan")


@dataclass(frozen=True)
class Fraud:
    """How fraud works. Campaigns start at a rate per 1000 possible targets (terminals or cards) and day; a `range` is
    drawn uniformly per campaign or payment. Amounts are multiples of what the holder usually pays, but for the tiny
    ones that test a card and the least that is siphoned, which are money.

    Skimming and siphoning take over payments that the holder makes anyway: they leave no trace in any payment, only in
    who is to blame for it. The other kinds add payments of a thief. A card is tested at one online terminal, or, if not
    `tested_online`, by each payment at another terminal, hardly ever one that the holder knows; a purchase follows.
    """

    skimmed_terminals: float = 0.16
    skimmed_share: float = 0.95
    skimmed_days: tuple[int, int] = (20, 40)
    stolen_cards: float = 0.23
    stolen_days: tuple[int, int] = (3, 12)
    stolen_per_day: float = 1.6
    stolen_amounts: tuple[float, float] = (5.0, 10.0)
    tested_cards: float = 0.12
    tested_payments: tuple[int, int] = (6, 14)
    tested_minutes: float = 10.0
    tested_amounts: tuple[float, float] = (0.5, 2.5)
    tested_online: bool = True
    tested_purchase: tuple[float, float] = (3.0, 7.0)
    takeovers: float = 0.22
    takeover_payments: tuple[int, int] = (2, 5)
    takeover_hours: tuple[float, float] = (0.0, 5.0)
    takeover_amounts: tuple[float, float] = (3.5, 6.0)
    siphoned_share: float = 0.0
    siphoned_hours: tuple[float, float] = (18.5, 24.0)
    siphoned_above: float = 125.0


@dataclass(frozen=True)
class Spending:
    """How people spend, relative to the world's first day: factors for amounts and number of payments, the share of
    payments made anywhere rather than at a favourite terminal, and by how many hours the day is shifted.

    `bursts` are harmless (per 1000 holders and day): small payments, an amount of money each, in a few minutes, at
    favourite terminals, or at terminals anywhere for the share `bursts_away` of them."""

    amount: float = 1.0
    rate: float = 1.0
    roaming: float = 0.04
    later_hours: float = 0.0
    bursts: float = 0.0
    bursts_away: float = 0.03
    burst_payments: tuple[int, int] = (4, 8)
    burst_minutes: float = 15.0
    burst_amounts: tuple[float, float] = (1.0, 8.0)


@dataclass(frozen=True)
class Reporting:
    """How the truth arrives, for payments made while this holds: a lognormal delay (median in days, sigma of its
    logarithm), the share of frauds never reported, the share of good payments that are disputed and found good, and
    the share of good payments first reported as fraud and withdrawn by a second report of the same id."""

    median_days: float = 4.0
    sigma: float = 0.9
    never: float = 0.08
    disputed: float = 0.0002
    withdrawn: float = 0.0


@dataclass(frozen=True)
class Openings:
    """New terminals: how many (as a share of the first ones), over how many days they open, and which share of
    all payments they attract once open."""

    share: float
    attraction: float
    over_days: int = 1


@dataclass(frozen=True)
class WorldChange:
    """From this date on, `to` holds instead of what held before (openings add to what there is).

    The change is complete on its first day: campaigns of an earlier fraud pattern end, as if the new one had always
    been there. Days before it are the same, byte for byte, as in a world without the drift.
    """

    since: date
    to: Fraud | Spending | Reporting | Openings


AnyRule = TypeVar("AnyRule", Fraud, Spending, Reporting)


@dataclass(frozen=True)
class World:
    """A card-payment world. The same world has the same payments; `days` only sets where it ends, so a shorter
    world is a prefix of a longer one. `customers` and `terminals` count those there on the first day."""

    name: str = "stable"
    seed: int = 7
    start: date = date(2026, 1, 1)
    days: int = 181
    customers: int = 4_000
    terminals: int = 3_000
    fraud: Fraud = field(default=Fraud())
    spending: Spending = field(default=Spending())
    reporting: Reporting = field(default=Reporting())
    drifts: tuple[WorldChange, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("days", 1), ("customers", 1), ("terminals", len(REGIONS))):
            if getattr(self, name) < least:
                raise Invalid(f"{name}: expected at least {least}, found {getattr(self, name)}")

    @property
    def last_day(self) -> date:
        return self.start + timedelta(days=self.days - 1)

    def fraud_on(self, day: date) -> Fraud:
        return self._in_force(self.fraud, day)

    def spending_on(self, day: date) -> Spending:
        return self._in_force(self.spending, day)

    def reporting_on(self, day: date) -> Reporting:
        return self._in_force(self.reporting, day)

    def openings(self) -> tuple[tuple[date, Openings], ...]:
        """A trickle that every world has, then the scripted ones by date."""
        trickle = (self.start, Openings(share=0.04, attraction=0.03, over_days=730))
        scripted = [(drift.since, drift.to) for drift in self.drifts if isinstance(drift.to, Openings)]
        return (trickle, *sorted(scripted, key=lambda opening: opening[0]))

    def _in_force(self, initial: AnyRule, day: date) -> AnyRule:
        changes = [drift for drift in self.drifts if drift.since <= day and isinstance(drift.to, type(initial))]
        if not changes:
            return initial
        latest = max(changes, key=lambda drift: drift.since).to
        assert isinstance(latest, type(initial))
        return latest


CHANGE = date(2026, 5, 1)

# Fraud leaves the terminals and moves into large evening payments; the payments stay what they were.
_MOVED = Fraud(skimmed_terminals=0.05, siphoned_share=0.9)
# Part of what fraud looked like stays: a model that is never trained again loses about a third of its precision.
_NEW_GANG = Fraud(
    skimmed_terminals=0.11,
    siphoned_share=0.4,
    siphoned_above=160.0,
    stolen_cards=0.08,
    stolen_per_day=3.0,
    stolen_amounts=(2.0, 5.0),
    tested_minutes=60.0,
    tested_amounts=(8.0, 20.0),
    takeover_hours=(0.0, 12.0),
)
# Hardly any of it stays.
_TAKEN_OVER = Fraud(
    skimmed_terminals=0.02,
    siphoned_share=0.5,
    siphoned_above=150.0,
    stolen_cards=0.05,
    stolen_per_day=3.0,
    stolen_amounts=(1.5, 4.0),
    tested_cards=0.15,
    tested_minutes=90.0,
    tested_amounts=(8.0, 20.0),
    takeover_hours=(0.0, 20.0),
    takeover_amounts=(2.0, 4.0),
)
# Fraud moves to card testing. Holders make such bursts too, in every month, at terminals that they know.
_TESTING = Fraud(
    skimmed_terminals=0.02,
    stolen_cards=0.04,
    tested_cards=1.6,
    tested_payments=(4, 8),
    tested_minutes=15.0,
    tested_amounts=(1.0, 8.0),
    tested_online=False,
    tested_purchase=(1.5, 3.0),
    takeovers=0.05,
)


def _scenario(name: str, *changes: Fraud | Spending | Reporting | Openings) -> World:
    return World(name=name, drifts=tuple(WorldChange(CHANGE, change) for change in changes))


SCENARIOS: Mapping[str, World] = MappingProxyType(
    {
        world.name: world
        for world in (
            _scenario("stable"),
            _scenario("abrupt", _NEW_GANG, Spending(amount=1.3, rate=1.05)),
            _scenario("harsh", _TAKEN_OVER, Spending(amount=1.4, rate=1.05)),
            _scenario("subtle", _MOVED),
            _scenario("spending", Spending(amount=1.3, roaming=0.12, later_hours=1.0)),
            _scenario("new_terminals", Openings(share=0.25, attraction=0.3, over_days=14)),
            _scenario("slow_reports", Reporting(median_days=10.0, never=0.15)),
            World(name="late_labels", reporting=Reporting(median_days=20.0, sigma=0.5)),
            World(name="card_testing", spending=Spending(bursts=12.0), drifts=(WorldChange(CHANGE, _TESTING),)),
        )
    }
)


def scenario(name: str, **changes: object) -> World:
    """The named world with fields replaced, e.g. `scenario("abrupt", seed=3, days=150)`.

    Raises ValueError for a name that is not in SCENARIOS.
    """
    if name not in SCENARIOS:
        raise Invalid(f"scenario: expected one of {', '.join(SCENARIOS)}, found {name!r}")
    return replace(SCENARIOS[name], **changes)  # type: ignore[arg-type]
