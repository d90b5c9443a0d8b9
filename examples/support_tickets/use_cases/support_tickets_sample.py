"""Tickets made by chance: each team has words of its own, and customers come back with what they asked before."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from jobs.use_case import Progress

FIRST, DAYS, A_DAY, CUSTOMERS = date(2026, 1, 1), 150, 60, 900
CHANNELS = ("mail", "chat", "phone")
WORDS = {
    "billing": ("invoice", "charged", "refund", "card", "twice", "price"),
    "access": ("password", "login", "locked", "account", "code", "reset"),
    "delivery": ("parcel", "late", "courier", "address", "missing", "broken"),
    "product": ("screen", "update", "crash", "button", "slow", "feature"),
}
COMMON = ("please", "help", "since", "yesterday", "my", "the", "again", "why", "is", "not", "working", "order")


def write(folder: Path, progress: Progress | None = None) -> Mapping[str, Path]:
    """Both files, for `evergreen run` without any of one's own."""
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(zip(("tickets", "solutions"), frames(np.random.default_rng(1)), strict=True))
    for name, frame in made.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in made}


def frames(chance: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tickets, and who solved them."""
    began, rows, teams = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC), DAYS * A_DAY, list(WORDS)
    customer = chance.integers(0, CUSTOMERS, rows)
    usual = chance.integers(0, len(teams), CUSTOMERS)
    team = np.where(chance.random(rows) < 0.5, usual[customer], chance.integers(0, len(teams), rows))
    opened = [began + timedelta(days=float(day)) for day in np.sort(chance.uniform(0, DAYS, rows))]
    solved = [at + timedelta(hours=float(hours)) for at, hours in zip(opened, chance.gamma(2, 12, rows), strict=True)]
    tickets = {"TICKET_ID": np.arange(rows), "OPENED_AT": opened, "CUSTOMER_ID": customer,
               "CHANNEL": [CHANNELS[n] for n in chance.integers(0, len(CHANNELS), rows)],
               "SUBJECT": [subject(chance, teams[n]) for n in team]}  # fmt: skip
    solutions = {"TICKET_ID": np.arange(rows), "SOLVED_AT": solved, "TEAM": [teams[n] for n in team]}
    return pl.DataFrame(tickets), pl.DataFrame(solutions)


def subject(chance: np.random.Generator, team: str) -> str:
    """A sentence of common words, in which one or two words are the team's; now and then they are another's."""
    told = team if chance.random() < 0.85 else str(chance.choice(list(WORDS)))
    words = [*chance.choice(COMMON, chance.integers(3, 8)), *chance.choice(WORDS[told], chance.integers(1, 3))]
    return " ".join(str(word) for word in chance.permutation(words)).capitalize()
