"""Pinned table versions: what a recorded training set (later a model) was built from, and maintenance must keep.

They live in the ledger's database.
"""

from collections.abc import Mapping

from jobs.ledger.statements import execute
from jobs.settings import Settings


def pin(settings: Settings, versions: Mapping[str, int], by: str) -> None:
    """Keep these versions readable for ever, or until `unpin`; idempotent."""
    rows = [{"name": table, "version": version, "by": by} for table, version in versions.items()]
    execute(settings, "insert into pins values (:name, :version, :by) on conflict do nothing", rows)


def unpin(settings: Settings, by: str) -> None:
    """Give up every version pinned by `by`."""
    execute(settings, "delete from pins where pinned_by = :by", [{"by": by}])


def pinned(settings: Settings, table: str) -> list[int]:
    """Pinned versions of a table, ascending."""
    query = "select distinct version from pins where table_name = :name order by 1"
    return [version for (version,) in execute(settings, query, [{"name": table}])]
