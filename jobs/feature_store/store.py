"""Our own Feast store: opened in-process, declarations applied only when they changed, views materialised online.

Declarations are in `feature_repo/`; the stores themselves in `offline_store.py` and `online_store.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jobs import settings
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.state_files import file_lock, replace_json
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore


class OnlineStoreUnreachable(RuntimeError):
    """Nothing answers at the address of the online store."""


def declarations_hash(found: Settings, use_case: UseCase) -> str:
    """A hash of everything that declares this use case's features."""
    files = sorted([*found.feature_repo.glob("*.py"), *found.feature_repo.glob("*.yaml")])
    content: list[Any] = [(file.name, file.read_bytes().hex()) for file in files]
    content += [windows.fingerprint for windows in use_case.windows]
    content += [use_case.label_maturity, use_case.training_window, use_case.feature_service]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def open_store(
    lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int | None] | None = None
) -> FeatureStore:
    """The feature store of a home with the use case's declarations applied.

    The window tables must exist: the types of their ids become the types of the entities. With `versions` the offline
    store reads those versions of the named tables instead of the latest.

    Raises:
        ValueError: the feature repo declares nothing, or no feature service, for this use case.
    """
    _import_feast()
    from feast import FeatureStore, RepoConfig

    from jobs.feature_store.offline_store import LakehouseOfflineStoreConfig, use_lakehouse

    config = RepoConfig(**_configuration(lakehouse.settings, versions or {}))
    if isinstance(config.offline_store, LakehouseOfflineStoreConfig):
        use_lakehouse(config, lakehouse)
    store = FeatureStore(config=config)
    _apply(store, lakehouse.settings, use_case)
    return store


def _import_feast() -> None:
    """Import Feast without what takes seconds and is not used here: typeguard, which rewrites its functions to check
    their arguments, and torch, of which it only wants to know whether it is there."""
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = lambda target=None, **_: target or (lambda made: made)  # type: ignore[assignment]
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import feast  # noqa: F401 - for its effect
    finally:
        typeguard.typechecked = checked
        if hidden:
            del sys.modules["torch"]


def _configuration(found: Settings, versions: Mapping[str, int | None]) -> dict[str, Any]:
    import yaml

    own = found.feature_repo / "feature_store.yaml"
    file = own if own.exists() else settings.ROOT / "feature_repo" / "feature_store.yaml"
    options: dict[str, Any] = yaml.safe_load(file.read_text().replace("${EVERGREEN_HOME}", str(found.home)))
    options["repo_path"] = found.feature_repo
    options["offline_store"] |= {
        "warehouse": found.warehouse_url,
        "spark_remote": found.spark_remote,
        "table_versions": {table: version for table, version in versions.items() if version is not None},
    }
    if found.online_store_url:
        address = found.online_store_url.removeprefix("redis://").rstrip("/")
        options["online_store"] = {
            "type": "jobs.feature_store.online_store.LakehouseRedisOnlineStore",
            "connection_string": address,
        }
    (found.home / "feast").mkdir(parents=True, exist_ok=True)
    return options


def _apply(store: FeatureStore, found: Settings, use_case: UseCase) -> None:
    done = found.state / use_case.name / "feature_declarations"
    wanted = declarations_hash(found, use_case)
    with file_lock(found.home / "locks" / "feast.lock"):
        if done.exists() and done.read_text() == wanted and (found.home / "feast" / "registry.db").exists():
            return
        with _quiet():
            objects = [o for o in _declared(found.feature_repo) if o.tags.get("use_case") == use_case.name]
        if not any(o.name == use_case.feature_service for o in objects):
            raise ValueError(
                f"{found.feature_repo}: expected a feature service {use_case.feature_service} with the tag use_case="
                f"{use_case.name}, found {sorted(o.name for o in objects)}; declare it in {use_case.name}_features.py"
            )
        with _quiet():
            store.apply(objects)
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(wanted)


def _declared(repo: Path) -> list[Any]:
    """The Feast objects of all files of a repo, without Feast's change of working directory and import path."""
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView
    from feast.data_source import DataSource

    kinds = (Entity, FeatureView, OnDemandFeatureView, FeatureService, DataSource)
    newest: dict[int, Any] = {}
    for file in sorted(repo.glob("*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = module
        spec.loader.exec_module(module)
        newest |= {id(value): value for value in vars(module).values() if isinstance(value, kinds)}
    return list(newest.values())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Feast prints its progress; our callers print theirs."""
    import warnings

    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reach(found: Settings) -> None:
    """Feast's own error would name neither the store nor what to do."""
    if not found.online_store_url:
        return
    address = urlsplit(found.online_store_url)
    try:
        socket.create_connection((address.hostname or "", address.port or 6379), timeout=5).close()
    except OSError as error:
        raise OnlineStoreUnreachable(
            f"EVERGREEN_ONLINE_STORE={found.online_store_url}: nothing answers there ({error.strerror or error}); "
            "start it, or unset EVERGREEN_ONLINE_STORE for the SQLite store of this home, and run again"
        ) from None


def materialize(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> dict[str, Any]:
    """Bring the online store to what was known at `as_of`; says per feature view what was done.

    Only rows that became known, or were rewritten, since the last time are read. Doing it twice, or for an earlier
    `as_of` than before, changes nothing: the online stores refuse to go back.

    Raises:
        OnlineStoreUnreachable: nothing answers where the online store should be.
    """
    tables = {windows.name: use_case.window_table(windows) for windows in use_case.windows}
    versions = lakehouse.versions(list(tables.values()))
    kept = lakehouse.settings.state / use_case.name / "online.json"
    with file_lock(lakehouse.settings.home / "locks" / f"{use_case.name}.online.lock"):
        before = json.loads(kept.read_text()) if kept.exists() else {}
        declared = declarations_hash(lakehouse.settings, use_case)
        url = lakehouse.settings.online_store_url or "sqlite"
        there = url != "sqlite" or (lakehouse.settings.home / "feast" / "online.db").exists()
        due: dict[str, datetime | None] = {}
        for view, table in tables.items():
            last = before.get(view, {})
            same = there and last.get("declared") == declared and last.get("store") == url
            if same and last["version"] == versions[table] and datetime.fromisoformat(last["as_of"]) >= as_of:
                continue
            due[view] = _since(lakehouse, table, last) if same else None
        if not due:
            return dict.fromkeys(tables, "up to date")
        _reach(lakehouse.settings)
        store = open_store(lakehouse, use_case, versions)
        result: dict[str, Any] = dict.fromkeys(tables, "up to date")
        for view, since in due.items():
            # Before the ttl nothing counts: such a value would be expired when it is read.
            ttl = store.get_feature_view(view).ttl or timedelta(days=3650)
            start = min(max(since or as_of - ttl, as_of - ttl), as_of)
            with _quiet():
                store.materialize(start, as_of, feature_views=[view])
            result[view] = f"known from {start:%Y-%m-%d %H:%M} to {as_of:%Y-%m-%d %H:%M}"
            if since is None or datetime.fromisoformat(before[view]["as_of"]) <= as_of:
                # For an earlier moment the newer rows of this version are still to be read.
                now = {"as_of": as_of.isoformat(), "version": versions[tables[view]]}
                before[view] = now | {"declared": declared, "store": url}
                replace_json(kept, before)
    return result


def _since(lakehouse: Lakehouse, table: str, last: Mapping[str, Any]) -> datetime | None:
    """The start of what changed: the last time, or the earliest day that was rewritten since; None: all of it."""
    since = datetime.fromisoformat(last["as_of"])
    days = lakehouse.changed_days(table, last["version"])
    if days is None:
        return None
    first = min((datetime.combine(day, datetime.min.time(), since.tzinfo) for day in days), default=since)
    return min(since, first)
