"""Running dbt in this process, against the shared engine session: manifest, results, leftovers. No SQL here.

In this process because dbt's imports and parsing, in a process of its own, cost more than its work on a day's rows.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.errors import EvergreenError
from jobs.lakehouse import engine
from jobs.lakehouse.scheduled_times import scheduled_times
from jobs.lakehouse.session_catalog import forget_unmade
from jobs.lakehouse.table_log import located
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings, exported
from jobs.state_files import file_lock, read_memory, replace_bytes, replace_json
from jobs.use_case import UseCase

SCRATCH = "_merge"
LOAD = "loaded_in"
"""The column of the number of the load that a row came or changed with."""
SQL = "sql"
"""What is recorded of a model's text."""
RESULTS = ("LogModelResult", "LogTestResult")
NO_RESULTS = "--no-write-json"
"""dbt's manifest and results as files, which nobody reads: they take a fifth of its time on a day's rows."""
PARSED = ("*.sql", "*.yml", "*.yaml", "*.csv", "*.md")


class DbtProjectError(EvergreenError, RuntimeError):
    """The dbt project cannot be parsed."""


@dataclass
class Build:
    """What `dbt build` did: an event per finished node, in order, as dbt's JSON log has them; and what went wrong."""

    finished: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def and_then(self, more: "Build") -> "Build":
        """This, and what was done after it."""
        return Build(self.finished + more.finished, self.errors + more.errors)

    def listen(self, message: Any) -> None:
        """Record an event of dbt; called from its threads."""
        if message.info.level == "error":
            self.errors.append(message.info.msg.strip())
        if message.info.name in RESULTS:
            from dbt_common.events.functions import msg_to_dict

            self.finished.append(msg_to_dict(message))


def build(
    lakehouse: Lakehouse,
    use_case: UseCase,
    parsed: Path,
    selection: Sequence[str],
    tested: Mapping[str, int] | None = None,
) -> Build:
    """`dbt build` of the nodes that `selection` (dbt's own options) names; a failure is reported, not raised.

    Args:
        parsed: what `manifest` returned.
        tested: model -> last load among its rows, of the models whose rows until then need no test (`Built.tested`).
    """
    done = Build()
    words = ["build", *selection, *_variables(lakehouse, use_case, tested)]
    result = _invoked(lakehouse, use_case, parsed, words, [done.listen])
    if not result.success:
        lakehouse.require_engine()
    if not result.success and not done.errors:
        done.errors.append(str(result.exception or "dbt build failed"))
    return done


def compiled(lakehouse: Lakehouse, use_case: UseCase, parsed: Path, selection: Sequence[str]) -> dict[str, str]:
    """Model -> its SQL for the engine, of the nodes that `selection` names; those that do not compile are left out."""
    result = _invoked(lakehouse, use_case, parsed, ["compile", *selection, *_variables(lakehouse, use_case)])
    found = result.result.results if result.result else ()
    return {each.node.unique_id: each.node.compiled_code for each in found if each.node.compiled_code}


def _invoked(
    lakehouse: Lakehouse,
    use_case: UseCase,
    parsed: Path,
    words: Sequence[str],
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> Any:
    """What a command of dbt came to, over the manifest that was parsed, in the engine's session."""
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    nodes = Manifest.from_msgpack(parsed.with_suffix(".msgpack").read_bytes())
    with session(lakehouse, use_case), log_closed():
        return dbtRunner(manifest=nodes, callbacks=list(callbacks)).invoke(
            [words[0], NO_RESULTS, *words[1:], *options(lakehouse.settings, target(lakehouse.settings))]
        )


def _variables(lakehouse: Lakehouse, use_case: UseCase, tested: Mapping[str, int] | None = None) -> list[str]:
    """dbt's option of what SQL cannot know by itself."""
    scheduled = {use_case.name: scheduled_times(lakehouse, use_case)} if use_case.schedule else {}
    return ["--vars", json.dumps({"tested": dict(tested or {}), "scheduled": scheduled})]


class Built:
    """What each model of a use case was last built from, in a small file: unchanged, it is not built again."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase, parsed: Path, manifest: Mapping[str, Any]) -> None:
        self.lakehouse, self.project, self.manifest = lakehouse, parsed.stem, manifest
        self.path = lakehouse.settings.state / use_case.name / "transforms.json"

    def due(self, models: Sequence[str]) -> list[str]:
        """Those of `models` (dbt's ids) that changed since they held, whose inputs did, or whose inputs are due."""
        before, now = self._read(), self._now(models)

        def is_due(model: str) -> bool:
            inputs = self.manifest["parent_map"][model]
            recorded = {SQL: now[model][SQL], **before.get(model, {})}
            return recorded != now[model] or any(is_due(node) for node in inputs if node in now)

        return [model for model in models if is_due(model)]

    def changed(self, models: Sequence[str]) -> list[str]:
        """Those of `models` whose table other SQL made, and those that read of such; of a table made before this was
        recorded, its SQL counts as the same."""
        before = self._read()

        def is_changed(model: str) -> bool:
            sql = before.get(model, {}).get(SQL)
            inputs = self.manifest["parent_map"][model]
            return (sql is not None and sql != self._sql(model)) or any(is_changed(n) for n in inputs if n in models)

        return [model for model in models if is_changed(model)]

    def _sql(self, model: str) -> str:
        return str(self.manifest["nodes"][model]["checksum"]["checksum"])

    def tested(self, models: Sequence[str]) -> dict[str, int]:
        """The last load in those of `models` that are as they were when all their tests passed, and number loads.

        Rows that change later get greater numbers (`dbt_project/macros/watermark.sql`): only they are to be tested.
        """
        before = self._read()
        last: dict[str, int] = {}
        for model in models:
            recorded, table = before.get(model, {}), relation(self.manifest["nodes"][model])
            version = recorded.get("versions", {}).get(table)
            if recorded.get("project") != self.project or version is None or version != self.lakehouse.version(table):
                continue
            if LOAD in self.lakehouse.schema(table, version).names:
                last[model] = self.lakehouse.maxima(table, [LOAD], version)[0] or 0
        return last

    def remember(self, done: Build, models: Sequence[str]) -> None:
        """Record what `models` hold now, unless they or their tests failed in `done`."""
        passed = {
            event["data"]["node_info"]["unique_id"]: event["data"]["node_info"]["node_status"].lower()
            in ("success", "pass")
            for event in done.finished
        }
        sound = [m for m in models if all(passed.get(n, False) for n in (m, *self._tests(m)))]
        others = {model: state for model, state in self._read().items() if model not in models}
        replace_json(self.path, {**others, **self._now(sound)})

    def _tests(self, model: str) -> list[str]:
        return [node for node in self.manifest["child_map"][model] if node.startswith("test.")]

    def _now(self, models: Sequence[str]) -> dict[str, dict[str, Any]]:
        declared = {**self.manifest["nodes"], **self.manifest["sources"]}
        read = {model: [model, *self.manifest["parent_map"][model]] for model in models}
        tables = {node: relation(declared[node]) for nodes in read.values() for node in nodes}
        versions = self.lakehouse.versions(sorted(set(tables.values())))
        return {
            model: {
                "project": self.project,
                SQL: self._sql(model),
                "versions": {tables[node]: versions[tables[node]] for node in nodes},
            }
            for model, nodes in read.items()
        }

    def _read(self) -> dict[str, Any]:
        return read_memory(self.path, dict) or {}


def models(manifest: Mapping[str, Any], use_case: UseCase) -> list[str]:
    """Ids of the use case's models (those in folders of its name), each after those it reads."""
    nodes, parents = manifest["nodes"], manifest["parent_map"]
    own = {n for n in nodes if nodes[n]["resource_type"] == "model" and nodes[n]["fqn"][2] == use_case.name}
    return list(TopologicalSorter({n: sorted(own.intersection(parents[n])) for n in sorted(own)}).static_order())


def selection(manifest: Mapping[str, Any], chosen: Sequence[str]) -> list[str]:
    """dbt's options for these models, and the tests of them and of the sources they read."""
    sources = {n for model in chosen for n in manifest["parent_map"][model] if n in manifest["sources"]}
    names = [f"fqn:{'.'.join(manifest['nodes'][model]['fqn'])}" for model in chosen]
    return ["--select", *names, *(f"source:{'.'.join(manifest['sources'][n]['fqn'][-2:])}" for n in sorted(sources))]


def relation(node: Mapping[str, Any]) -> str:
    """The table of a model or source."""
    return f"{node['schema']}.{node.get('alias') or node['name']}"


def target(settings: Settings) -> Path:
    """Where dbt leaves compiled SQL and its log."""
    return settings.home / "dbt" / "target"


def options(settings: Settings, target: Path) -> list[str]:
    folders = {"--project-dir": settings.dbt_project, "--profiles-dir": settings.dbt_project}
    folders |= {"--target-path": target, "--log-path": target}
    # Its errors are told by whoever called it: dbt would print its own traceback of a full disk.
    return [
        "--quiet",
        "--log-level",
        "none",
        "--log-level-file",
        "debug",
        *(str(part) for option in folders.items() for part in option),
    ]


@contextlib.contextmanager
def session(lakehouse: Lakehouse, use_case: UseCase) -> Iterator[None]:
    """Inside, dbt finds the engine's shared session, with all tables registered, and the warehouse."""
    for schema in (use_case.name, f"{use_case.name}_staging"):
        lakehouse.spark.sql(f"create schema if not exists {schema}")
        forget_unmade(lakehouse.spark, lakehouse.warehouse, schema, lakehouse.settings.spark_remote is None)
    remote = exported(SPARK_REMOTE=engine.url(lakehouse.settings), EVERGREEN_WAREHOUSE=lakehouse.warehouse)
    with engine.active(lakehouse.spark), remote:
        try:
            yield
        finally:
            _sweep(f"{lakehouse.warehouse.rstrip('/')}/{SCRATCH}/{use_case.name}")


@contextlib.contextmanager
def loads_wait(lakehouse: Lakehouse, use_case: UseCase) -> Iterator[None]:
    """Inside, no load brings rows into a raw table: all models see the same rows, which is what `Built` records."""
    with contextlib.ExitStack() as held:
        for table in sorted(map(use_case.raw_table, use_case.sources)):
            held.enter_context(lakehouse.lock(table))
        yield


@contextlib.contextmanager
def log_closed() -> Iterator[None]:
    """Closes dbt's log file at the end: dbt leaves it open until the process ends, also when it opens another.

    Meanwhile a log that cannot be written, as on a full disk, is no reason for a traceback on stderr.
    """
    raising, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = raising
        for handler in logging.getLogger("file_log").handlers:
            handler.close()


def _sweep(folder: str) -> None:
    """Remove what `macros/merge.sql` wrote down for one use case; another one's dbt may be at work."""
    store, path = located(folder)
    with contextlib.suppress(OSError):  # nothing was written, or the next sweep removes it
        store.delete_dir(path)


def fingerprint(project: Path) -> str:
    """Hash of everything dbt parses in a project, and of what parses it."""
    digest = hashlib.sha256("".join(metadata.version(f"dbt-{part}") for part in ("core", "spark")).encode())
    for path in sorted(p for pattern in PARSED for p in project.rglob(pattern)):
        digest.update(str(path.relative_to(project)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def manifest(settings: Settings) -> Path:
    """The manifest of the dbt project as it is now; parsed only if a file of it changed.

    dbt's own form of it lies next to it, as `.msgpack`. Raises DbtProjectError with dbt's own message if the project
    does not parse.
    """
    parsed = settings.home / "dbt" / f"manifest-{fingerprint(settings.dbt_project)}.json"
    if not parsed.exists():
        # Webserver and daemon load the code at the same moment; dbt would write into one folder for both.
        with file_lock(settings.home / "locks" / "dbt_parse.lock"):
            if not parsed.exists():
                _parse(settings, parsed)
    return parsed


def _parse(settings: Settings, parsed: Path) -> None:
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    target = settings.home / "dbt" / "parse"
    with exported(EVERGREEN_WAREHOUSE=settings.warehouse), log_closed():
        result = dbtRunner().invoke(["parse", *options(settings, target)])
    if not result.success:
        raise DbtProjectError(f"dbt parse failed: {result.exception or 'see ' + str(target / 'dbt.log')}")
    assert isinstance(result.result, Manifest)
    replace_bytes(parsed.with_suffix(".msgpack"), result.result.to_msgpack())
    (target / "manifest.json").replace(parsed)
