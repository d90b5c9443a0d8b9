"""Shipments made by chance: hours follow from distance, service, depot, and what the carrier is then."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from jobs.use_case import Progress

FIRST, DAYS, A_DAY, CARRIERS, DEPOTS = date(2026, 1, 1), 150, 160, 30, 6
SERVICES = ("standard", "express", "bulky")
FLEETS = ("vans", "lorries", "bikes")


def write(folder: Path, progress: Progress | None = None) -> Mapping[str, Path]:
    """The three files, for `evergreen run` without any of one's own."""
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(zip(("shipments", "arrivals", "carriers"), frames(np.random.default_rng(1)), strict=True))
    for name, frame in made.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in made}


def frames(chance: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Shipments, their arrivals, and versions of carriers."""
    began, rows = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC), DAYS * A_DAY
    days = np.sort(chance.uniform(0, DAYS, rows))
    carrier, depot, service = (chance.integers(0, n, rows) for n in (CARRIERS, DEPOTS, len(SERVICES)))
    changes = chance.uniform(20, DAYS - 20, CARRIERS)
    fleet = chance.integers(0, len(FLEETS), (2, CARRIERS))
    rating = chance.uniform(1, 5, (2, CARRIERS)).round(1)
    now = (days >= changes[carrier]).astype(int)
    distance = chance.gamma(2, 90, rows).round(1)
    slow = np.array([0.0, -0.4, 0.5])[service] + np.array([0.0, 0.2, -0.2])[fleet[now, carrier]]
    expected = (4 + distance / 45) * np.exp(slow + (3 - rating[now, carrier]) * 0.15 + depot * 0.05)
    hours = (expected * chance.lognormal(0, 0.25, rows)).round(2)
    left = [began + timedelta(days=float(day)) for day in days]
    arrived = [at + timedelta(hours=float(taken)) for at, taken in zip(left, hours, strict=True)]
    shipments = {"SHIPMENT_ID": np.arange(rows), "LEFT_AT": left, "CARRIER_ID": carrier, "DEPOT_ID": depot,
                 "DISTANCE": distance, "SERVICE": [SERVICES[n] for n in service]}  # fmt: skip
    versions = []
    for n in range(CARRIERS):
        for k, day in enumerate((-30.0, changes[n])):
            was = {"FLEET": FLEETS[fleet[k, n]], "RATING": rating[k, n]}
            versions.append({"CARRIER_ID": n, "VALID_FROM": began + timedelta(days=float(day)), **was})
    arrivals = {"SHIPMENT_ID": np.arange(rows), "ARRIVED_AT": arrived, "HOURS": hours}
    return pl.DataFrame(shipments), pl.DataFrame(arrivals), pl.DataFrame(versions)
