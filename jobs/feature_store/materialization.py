"""The online store, brought to what was known at a moment; only what changed since the last time is read.

Opening Feast's store: see `jobs.feature_store.store`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.feature_store import served_views, view_changes
from jobs.feature_store.served_views import ServedView
from jobs.feature_store.store import declarations_hash, open_store, project_of, quiet
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.state_files import file_lock, read_memory, replace_json
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore

UP_TO_DATE = "up to date"
BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
"""Before all that is known of an entity."""


class OnlineStoreUnreachable(EvergreenError, RuntimeError):
    """Nothing answers at the address of the online store."""


def materialize(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> dict[str, str]:
    """Bring all views of the feature service online, to what was known at `as_of`; returns per view what was done.

    Only rows that became known, or were rewritten, since the last time are read. Doing it twice, or for an earlier
    `as_of` than before, changes nothing: the online stores refuse to go back.

    Raises:
        OnlineStoreUnreachable: nothing answers where the online store should be.
    """
    others = {view.name: view for view in served_views.beside_windows(lakehouse, use_case)}
    tables = {windows.name: use_case.window_table(windows) for windows in use_case.windows}
    tables |= {name: view.table for name, view in others.items()}
    versions = lakehouse.versions(list(tables.values()))
    with file_lock(lakehouse.settings.home / "locks" / f"{use_case.name}.online.lock"):
        memory = _Memory(lakehouse, use_case)
        due = {}
        for view, table in tables.items():
            last = memory.last(view)
            if last is None or last["version"] != versions[table] or datetime.fromisoformat(last["as_of"]) < as_of:
                due[view] = None if last is None else _since(lakehouse, others.get(view, table), last)
        if not due:
            return dict.fromkeys(tables, UP_TO_DATE)
        _reach(lakehouse.settings)
        store = open_store(lakehouse, use_case, versions)
        spans = {}
        for view, since in due.items():
            spans[view] = _materialize_view(store, view, since, as_of)
            memory.remember(view, versions[tables[view]], as_of, everything=since is None)
    return dict.fromkeys(tables, UP_TO_DATE) | spans


class _Memory:
    """What was materialised last of each view, in a small file; of other declarations or another store it is void."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        settings = lakehouse.settings
        self.path: Path = settings.state / use_case.name / "online.json"
        url = str(settings.online_store_url or "sqlite")
        self.exists = url != "sqlite" or (settings.home / "feast" / "online.db").exists()
        declared = declarations_hash(settings, use_case)
        self.made_for = {"declared": declared, "store": url, "project": project_of(use_case)}
        self.views: dict[str, dict[str, Any]] = read_memory(self.path, _views) or {}

    def last(self, view: str) -> dict[str, Any] | None:
        stored = self.views.get(view, {})
        return stored if self.exists and self.made_for.items() <= stored.items() else None

    def remember(self, view: str, version: int | None, as_of: datetime, everything: bool) -> None:
        # For an earlier moment the newer rows of this version are still to be read.
        if everything or datetime.fromisoformat(self.views[view]["as_of"]) <= as_of:
            self.views[view] = {"as_of": as_of.isoformat(), "version": version, **self.made_for}
            replace_json(self.path, self.views)


def _views(stored: Any) -> dict[str, dict[str, Any]]:
    """Views of what was stored. Raises ValueError, KeyError or TypeError if it is of another form."""
    for last in stored.values():
        datetime.fromisoformat(last["as_of"])
        dict(last)["version"]
    return dict(stored)


def _materialize_view(store: FeatureStore, view: str, since: datetime | None, as_of: datetime) -> str:
    # Before the ttl nothing counts: such a value would be expired when it is read.
    ttl = store.get_feature_view(view).ttl
    first = as_of - ttl if ttl else BEGINNING
    start = min(max(since or first, first), as_of)
    with quiet():
        store.materialize(start, as_of, feature_views=[view])
    return f"known from {start:%Y-%m-%d %H:%M} to {as_of:%Y-%m-%d %H:%M}"


def _since(lakehouse: Lakehouse, of: ServedView | str, last: Mapping[str, Any]) -> datetime | None:
    """The start of what changed: the last time, or the earliest day of a table of windows that was rewritten since, or
    the moment from which a changed row of another view counts; None: all of it."""
    since = datetime.fromisoformat(last["as_of"])
    if isinstance(of, ServedView):
        return _changed_since(lakehouse, of, last["version"], since)
    days = lakehouse.changed_days(of, last["version"])
    if days is None:
        return None
    # Where the clock of a client was ahead, an event was decided, and known, on the day before its own.
    before = [datetime.combine(day, datetime.min.time(), since.tzinfo) - timedelta(days=1) for day in days]
    return min([since, *before])


def _changed_since(lakehouse: Lakehouse, view: ServedView, before: int, since: datetime) -> datetime | None:
    version = lakehouse.version(view.table)
    if version == before:
        return since
    changes = None if version is None else view_changes.changed(lakehouse, view, before, version)
    return None if changes is None else min([since, *changes[view_changes.SINCE].to_list()])


def _reach(settings: Settings) -> None:
    """Feast's own error would name neither the store nor what to do."""
    if not settings.online_store_url:
        return
    address = settings.online_store_url.parts
    try:
        socket.create_connection((address.hostname or "", address.port or 6379), timeout=5).close()
    except OSError as error:
        raise OnlineStoreUnreachable(
            f"EVERGREEN_ONLINE_STORE={settings.online_store_url}: nothing answers there ({in_words(error)}); "
            "start it, or unset EVERGREEN_ONLINE_STORE for the SQLite store of this home, and run again"
        ) from None
