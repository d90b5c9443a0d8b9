"""A proposal: the use case that a file suggests, with what was seen of it.

Writing it as a project: see `jobs.proposals.written_project`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.proposals import declared_columns, proposed_windows, time_plan
from jobs.proposals.column_words import parts_of, table_names
from jobs.proposals.declared_columns import Declared
from jobs.proposals.label_candidates import LabelCandidate
from jobs.proposals.proposed_windows import DAY, Entity, Facts
from jobs.proposals.roles import Named, Roles, roles
from jobs.proposals.table_profile import ColumnProfile, TableProfile, profile
from jobs.proposals.time_plan import TimePlan
from jobs.use_case import Source
from jobs.windows import WindowFeatures

MADE_KEY = "row_id"


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a file suggests."""

    name: str
    table: TableProfile
    roles: Roles
    plan: TimePlan
    declared: Declared
    events: Source
    labels: Source
    windows: tuple[WindowFeatures, ...]
    columns_file: Mapping[str, Any]

    def rows(self) -> list[dict[str, object]]:
        """A row for each column of the file: its name there, its kind, its role and why."""
        return [
            {"column": c.name, "kind": c.kind or "", "role": self.role(c), "why": self.why(c)}
            for c in self.table.columns
        ]  # fmt: skip

    def role(self, column: ColumnProfile) -> str:
        """What a column is for, in a word or two."""
        of = self.roles
        named = {
            "key": of.key, "event time": of.time, "label": of.label and of.label.column, "label known at": of.reported
        }  # fmt: skip
        found = [role for role, each in named.items() if each is column]
        found += ["entity"] if column in of.entities else []
        found += ["amount"] if column is of.amount else []
        return ", ".join(found) or ("left out" if column.name in of.left_out else "input")

    def why(self, column: ColumnProfile) -> str:
        """What was seen of a column, and what else it could be."""
        of = self.roles
        said = [of.left_out.get(column.name, ""), column.seen()]
        if other := next((c for c in of.other_labels if c.column is column), None):
            said.insert(0, f"could be the label, too ({other.why})")
        if of.label is not None and of.label.column is column:
            said.insert(0, of.label.why)
        return "; ".join(filter(None, said))

    def looks(self) -> list[str]:
        """What a person should look at, a sentence each."""
        return list(_looks(self))


def propose(path: Path, name: str, source: str, named: Named, now: datetime | None = None) -> Proposal:
    """What the file, folder or Delta table at `path` suggests.

    Args:
        name: of the use case. source: of the events, and of the option that files are given by.
        now: no event is later.

    Raises Invalid, or InputError, if the file cannot be used: no rows, no time, one column.
    """
    table = profile(path)
    found = roles(table, named)
    plan = time_plan.plan(table, found, now or datetime.now(UTC))
    names = table_names([c.name for c in table.columns], taken=[name, source, MADE_KEY, "label_known_at"])
    declared = declared_columns.declare(table, found, names, MADE_KEY)
    facts = _facts(found, plan, declared)
    windows = proposed_windows.windows(facts)
    events, labels = declared_columns.sources(declared, found, plan, source)
    said = declared_columns.columns_file(table, found, declared, source, labels.name)
    return Proposal(name, table, found, plan, declared, events, labels, windows, said)


def _facts(found: Roles, plan: TimePlan, declared: Declared) -> Facts:
    label, names = found.label, declared.names
    stems = _stems([names[c.name] for c in found.entities])
    entities = [
        Entity(names[c.name], stem, plan.span * c.distinct / c.present)
        for c, stem in zip(found.entities, stems, strict=True)
    ]
    return Facts(
        id=declared.key, time=names[found.time.name], span=plan.span, only_dates=plan.only_dates,
        entities=tuple(entities), numbers=tuple(names[c.name] for c in found.numbers),
        amount=names[found.amount.name] if found.amount else None,
        label=declared.label if label else None, task=label.task if label else "binary",
        classes=_classes(label), delay=plan.delay, some_sooner=found.reported is not None,
    )  # fmt: skip


def _stems(columns: list[str]) -> list[str]:
    """How names of features begin: those of the columns, without what says that they identify."""
    short = ["_".join(p for p in parts_of(c) if p not in ("id", "nr", "no", "number", "code")) or c for c in columns]
    return short if len(set(short)) == len(short) else columns


def _classes(label: LabelCandidate | None) -> tuple[str, ...]:
    if label is None or label.task != "multiclass":
        return ()
    return tuple(str(value) for value, _ in label.column.frequent[:3])


def _looks(proposal: Proposal) -> list[str]:
    of, table = proposal.roles, proposal.table
    said = []
    if of.label is None:
        said.append("No column looks like a label: the project ends at its training set. Name one (`--label COLUMN`), "
                    f"or give labels as a file of their own (`--{proposal.labels.input} FILE`).")  # fmt: skip
    elif of.other_labels:
        others = ", ".join(c.column.name for c in of.other_labels[:5])
        said.append(f"The label is {of.label.column.name} ({of.label.why}); it could be {others} as well.")
    if of.label is not None and of.reported is None:
        days = f"{proposal.plan.delay / DAY:.3g} days"
        said.append(f"No column says when the label was known: it counts as known {days} after its event. Correct "
                    "`carried_delay` and `label_maturity` if it is later.")  # fmt: skip
    if other_times := [c for c in of.other_times if c is not of.reported and c.name not in of.left_out]:
        others = ", ".join(c.name for c in other_times[:5])
        said.append(f"The event happens at {of.time.name}; other times are {others}.")
    if of.key is None:
        said.append(f"No column identifies a row: {proposal.declared.key} is made of what each row holds.")
    elif of.key.unique < 1 or of.key.filled < 1:
        said.append(f"{of.key.name} is missing or there twice in some rows, which go to quarantine.")
    if not of.entities:
        said.append("Nothing comes back in several rows: there are no entities, and no windows.")
    if table.is_part:
        said.append("The file is large: its beginning and its end were looked at.")
    said += [
        f"{name} is no feature: {why}." for name, why in of.left_out.items() if "afterwards" in why or "tells" in why
    ]
    unread = [c.name for c in table.columns if c.unread]
    return [
        *said,
        *([f"Rows with values that could not be read go to quarantine ({', '.join(unread)})."] if unread else []),
    ]
