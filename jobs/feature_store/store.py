"""Our own Feast store: opened in-process, declarations applied only when they changed.

Declarations are in `feature_repo/`; the stores themselves in `offline_store.py` and `online_store.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from jobs import project_file
from jobs.data_dictionary.profile_features import of_profiles
from jobs.data_dictionary.window_features import window_features
from jobs.display import listed
from jobs.errors import Invalid
from jobs.feature_store import feature_meanings
from jobs.lakehouse.tables import Lakehouse
from jobs.profiles import ProfileFeatures
from jobs.secret import Url
from jobs.settings import ROOT, Settings
from jobs.state_files import file_lock
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore


def declarations_hash(settings: Settings, use_case: UseCase) -> str:
    """A hash of everything that declares this use case's features."""
    files = sorted([*settings.feature_repo.glob("*.py"), *settings.feature_repo.glob("*.yaml")])
    if settings.project is not None:
        # Functions of a project's own modules make features, too; what only tests them does not.
        own, tests = project_file.modules(settings.project, settings.home), settings.project / "tests"
        files += [file for file in own if not file.is_relative_to(tests)]
    content: list[Any] = [(file.name, file.read_bytes().hex()) for file in files]
    content += [windows.fingerprint for windows in use_case.windows]
    content += [_profile(use_case, profile) for profile in use_case.profiles]
    content += [use_case.label_maturity, use_case.training_window, use_case.feature_service]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def _profile(use_case: UseCase, profile: ProfileFeatures) -> list[Any]:
    """What of a profile changes its features."""
    columns = [(column.name, column.kind) for column in use_case.profile_columns(profile)]
    return [profile.source, use_case.source(profile.source).event_time, columns]


def open_store(
    lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int | None] | None = None
) -> FeatureStore:
    """The feature store of a home with the use case's declarations applied.

    The window tables must exist: the types of their ids become the types of the entities. With `versions` the offline
    store reads those versions of the named tables instead of the latest.

    Raises:
        ValueError: the feature repo declares nothing, or no feature service, for this use case.
    """
    import_feast()
    from feast import FeatureStore, RepoConfig

    from jobs.feature_store.offline_store import LakehouseOfflineStoreConfig, use_lakehouse

    options = _configuration(lakehouse.settings, use_case, versions or {})
    _leave_common_project(lakehouse.settings, options["project"].removesuffix(f"_{use_case.name}"))
    config = RepoConfig(**options)
    if isinstance(config.offline_store, LakehouseOfflineStoreConfig):
        use_lakehouse(config, lakehouse)
    store = FeatureStore(config=config)
    _apply(store, lakehouse.settings, use_case)
    return store


def project_of(use_case: UseCase, declared: str = "evergreen") -> str:
    """Feast's project of a use case, which names in its registry and its online store belong to: two use cases with
    views of one name do not meet there."""
    return f"{declared}_{use_case.name}"


def _leave_common_project(settings: Settings, common: str) -> None:
    """Remove what an older home has of a project that all use cases shared: the next run fills both files anew."""
    feast = settings.home / "feast"
    with file_lock(settings.home / "locks" / "feast.lock"):
        if services_in(feast / "registry.db", common):
            for name in ("registry.db", "online.db"):
                (feast / name).unlink(missing_ok=True)


def import_feast() -> None:
    """Import Feast without what takes seconds and is not used here: typeguard, which rewrites its functions to check
    their arguments, and torch, of which it only wants to know whether it is there."""
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = lambda target=None, **_: target or (lambda function: function)  # type: ignore[assignment]
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import feast  # noqa: F401 - for its effect
    finally:
        typeguard.typechecked = checked
        if hidden:
            del sys.modules["torch"]


def _configuration(settings: Settings, use_case: UseCase, versions: Mapping[str, int | None]) -> dict[str, Any]:
    import yaml

    own = settings.feature_repo / "feature_store.yaml"
    file = own if own.exists() else ROOT / "feature_repo" / "feature_store.yaml"
    options: dict[str, Any] = yaml.safe_load(file.read_text().replace("${EVERGREEN_HOME}", str(settings.home)))
    options["repo_path"], options["project"] = settings.feature_repo, project_of(use_case, options["project"])
    if isinstance(registry := options.get("registry"), dict) and "://" not in str(registry.get("path")):
        registry.setdefault("registry_store_type", "jobs.feature_store.registry_file.WholeFileRegistryStore")
    options["offline_store"] |= {
        "warehouse": settings.warehouse_url,
        "spark_remote": settings.spark_remote and settings.spark_remote.reveal(),
        "table_versions": {table: version for table, version in versions.items() if version is not None},
    }
    if settings.online_store_url:
        options["online_store"] = {
            "type": "jobs.feature_store.online_store.LakehouseRedisOnlineStore",
            "connection_string": _redis(settings.online_store_url),
        }
    (settings.home / "feast").mkdir(parents=True, exist_ok=True)
    return options


def _redis(url: Url) -> str:
    """A Redis URL as Feast writes it: `host:port,option=value`."""
    parts = url.parts
    number = parts.path.strip("/")
    options = {
        "username": _quoted(unquote(parts.username or "")),
        "password": _quoted(unquote(parts.password or "")),
        "db": number if number.isdigit() else "",
        "ssl": "true" if parts.scheme == "rediss" else "",
    } | dict(parse_qsl(parts.query))
    options_given = [f"{name}={value}" for name, value in options.items() if value]
    return ",".join([f"{parts.hostname}:{parts.port or 6379}", *options_given])


def _quoted(text: str) -> str:
    """A text as Feast reads it back, even of digits or with a comma."""
    return json.dumps(text).replace(",", "\\u002c") if text else ""


def _apply(store: FeatureStore, settings: Settings, use_case: UseCase) -> None:
    applied = settings.state / use_case.name / "feature_declarations"
    declared = _registered_hash(settings, use_case)
    registry = settings.home / "feast" / "registry.db"
    with file_lock(settings.home / "locks" / "feast.lock"):
        services = services_in(registry, store.project)
        if use_case.feature_service in services and applied.exists() and applied.read_text() == declared:
            return
        if not is_whole(registry):
            registry.unlink(missing_ok=True)  # Feast would read it before it writes
        objects = declared_objects(settings, use_case)
        with quiet():
            store.apply(objects)
        feature_meanings.write(settings, use_case, service_sentences(use_case, objects))
        applied.parent.mkdir(parents=True, exist_ok=True)
        applied.write_text(declared)


def _registered_hash(settings: Settings, use_case: UseCase) -> str:
    """A hash of what the registry holds: declarations, and the words about them, which change no value."""
    words = json.dumps(
        {name: each.sentence for name, each in {**window_features(use_case), **of_profiles(use_case)}.items()}
    )
    return f"{declarations_hash(settings, use_case)} {hashlib.sha256(words.encode()).hexdigest()[:16]}"


def declared_objects(settings: Settings, use_case: UseCase) -> list[Any]:
    """The Feast objects of a use case. Raises Invalid if its feature service is not among them."""
    with quiet():
        objects = [o for o in _declared(settings.feature_repo) if o.tags.get("use_case") == use_case.name]
    if not any(o.name == use_case.feature_service for o in objects):
        raise Invalid(
            f"{settings.feature_repo}: expected a feature service {use_case.feature_service} with the tag use_case="
            f"{use_case.name}, found {listed(sorted(o.name for o in objects))}; declare it in "
            f"{use_case.name}_features.py"
        )
    return objects


def service_sentences(use_case: UseCase, objects: Sequence[Any]) -> dict[str, str]:
    """Feature -> sentence, of the feature service among a use case's Feast objects."""
    from feast import FeatureService, OnDemandFeatureView

    views = {o.name: o for o in objects if isinstance(o, OnDemandFeatureView)}
    [service] = [o for o in objects if isinstance(o, FeatureService) and o.name == use_case.feature_service]
    return feature_meanings.sentences(service, views)


def is_whole(registry: Path) -> bool:
    """Whether a file is a registry of Feast with at least one feature service."""
    return bool(services_in(registry))


def services_in(registry: Path, project: str | None = None) -> set[str]:
    """Names of the feature services of a project (None: of all) in a registry of Feast; none if it is no registry."""
    import_feast()
    from feast.protos.feast.core.Registry_pb2 import Registry
    from google.protobuf.message import DecodeError

    try:
        services = Registry.FromString(registry.read_bytes()).feature_services
        return {each.spec.name for each in services if project is None or each.spec.project == project}
    except (DecodeError, OSError):
        return set()


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
def quiet() -> Iterator[None]:
    """Feast prints its progress; our callers print theirs."""
    import warnings

    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
