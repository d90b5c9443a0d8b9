"""Where things are and how to reach them: the only module that reads the environment.

Defaults and derived paths belong here and no other logic; all other modules receive a `Settings`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from jobs import project_file
from jobs.errors import Invalid
from jobs.path_alias import only_here
from jobs.project_file import ProjectFile
from jobs.secret import ClusterUrl, Secret, Url, WebhookUrl
from jobs.setting_values import (
    Variable,
    choice,
    file,
    folder,
    home,
    issuer,
    number,
    stream,
    url,
    warehouse,
    word,
)

Severity = Literal["warning", "error"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Switch = Literal["on", "off"]
POSTGRESQL = ("postgresql", "postgres")
DAGSTER_VARIABLE = "EVERGREEN_DAGSTER"
STREAM_VARIABLE = "EVERGREEN_STREAM"
DOCS_PORT = 5001
PROJECT_VARIABLE = "EVERGREEN_PROJECT"
ASSEMBLED = "project"
"""Folder of a project's home with the folders that dbt and Feast read (`jobs.projects.assembly`)."""
REPORTS = "reports"
"""Folder of the home with drift reports."""
ROOT = Path(__file__).resolve().parent.parent
# Or ONNX Runtime, from its first import on, sends its maker names, hashes and timings of models (since 1.29).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Or numba, while it compiles in one thread, exchanges stdout and stderr of all threads for streams with colours.
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")


@dataclass(frozen=True)
class Settings:
    """Paths and URLs of one Evergreen installation; every path is absolute."""

    home: Path
    project: Path | None = None
    """Folder of the project that one works in; None means the built-in use cases of this package."""
    spark_remote: Url | None = None
    """Spark Connect URL of an existing cluster; None means the embedded engine."""
    warehouse_url: str | None = None
    """Where Delta tables live, if not under `home`; a cluster has to reach it by the same name."""
    online_store_url: Url | None = None
    """`redis://host:port` for the online store; None means SQLite under `home`."""
    stream_url: ClusterUrl | None = None
    """`kafka://host:port,host:port` of the brokers whose topics are read and written, or `files:///folder` of topics
    that are read, or `decisions://` for what the decision service logs; None means no streams."""
    predictions_url: Url | None = None
    """`postgresql://user@host/database` for the table of nightly predictions; None means SQLite under `home`."""
    ledger_url: Url | None = None
    """`postgresql://user@host/database` for the ledger of decisions and pins; None means SQLite under `home`."""
    dagster_url: Url | None = None
    """`postgresql://user@host/database` for Dagster's runs, events and schedules; None means SQLite under `home`."""
    engine_idle_seconds: float = 900.0
    """The embedded engine ends itself after this long without a connected client."""
    keep_logs_days: float = 90.0
    """`evergreen maintain` removes the logs of runs that ended longer ago."""
    schedules: Switch = "off"
    """Whether the nightly schedules are on from the start, unless a person switched one off."""
    dbt_project: Path = ROOT / "dbt_project"
    feature_repo: Path = ROOT / "feature_repo"
    tracking: Url | None = None
    """URL of the MLflow server or database; None means SQLite under `home`."""
    tracking_seconds: float = 20.0
    """How long one call of the tracking server may take before the run gives up."""
    tuning_url: Url | None = None
    """SQLAlchemy URL of the database that keeps Optuna's studies; None means journal files under `home`."""
    price_cpu_hour: float = 0.05
    price_gpu_hour: float = 2.0
    """Prices of an hour of one CPU core and of one GPU, both in the same currency."""
    alert_webhook: WebhookUrl | None = None
    """`https://...` that alerts are posted to as JSON; None means no webhook."""
    alert_webhook_secret: Secret | None = None
    """Key that posted alerts are signed with (HMAC-SHA256)."""
    alert_email: Url | None = None
    """`smtp://user:password@host:587/?from=...&to=...` for alerts by e-mail; None means no e-mail."""
    alert_severity: Severity = "warning"
    """Alerts below this severity go to the log only, not to the webhook or by e-mail."""

    api_keys_file: Path | None = None
    """File of the server's API keys; None means under `home`."""
    oidc_issuer: str | None = None
    """URL of who signs tokens that open the server, as its tokens name it; None means that keys alone do."""
    oidc_audience: str | None = None
    """Whom such a token must be made for."""
    oidc_scopes: str = "scope"
    """The claim of a token that says what it opens."""
    server_url: Url | None = None
    """`http://:key@host:port` of the decision server that alerts watch; None means that none is watched."""
    traces: Url | None = None
    """`http://host:4318` of a collector of OpenTelemetry (OTLP over HTTP) for traces of requests; None means none."""
    traces_share: float = 0.001
    """Share of the requests that are traced although their client does not trace them itself."""
    docs_url: Url | None = None
    """`http://host:port` where dbt's page is served; None means by `evergreen ui` on this machine."""
    reports_url: Url | None = None
    """`http://host:port/path` where the folder `reports` of the home is served; None means the same."""

    @property
    def docs(self) -> str:
        """Where people find dbt's page, for links: without a password."""
        return str(self.docs_url or f"http://127.0.0.1:{DOCS_PORT}")

    @property
    def reports(self) -> str:
        """Where people find the drift reports, for links: without a password."""
        return str(self.reports_url or f"http://127.0.0.1:{DOCS_PORT}/reports").rstrip("/")

    @property
    def warehouse(self) -> str:
        return self.warehouse_url or str(self.home / "warehouse")

    @property
    def tracking_url(self) -> Url:
        if self.tracking and self.tracking.parts.scheme == "postgres":
            return self.tracking.with_scheme("postgresql")  # which is what MLflow calls it
        return self.tracking or Url(f"sqlite:///{self.home}/tracking/mlflow.db")

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def dagster_database(self) -> str | None:
        """`dagster_url` with its password, for the environment of Dagster's processes; None means SQLite."""
        return self.dagster_url.with_scheme("postgresql").reveal() if self.dagster_url else None

    @property
    def predictions(self) -> str:
        """Where nightly predictions can be queried, for people: without a password."""
        return str(self.predictions_url or self.serving / "predictions.sqlite")

    @property
    def serving(self) -> Path:
        """What is served from files: the database of predictions, exported models."""
        return self.home / "serving"

    @property
    def state(self) -> Path:
        """Small JSON files: registered sources, accepted schemas, run fingerprints."""
        return self.home / "state"


_DATABASE = "postgresql://user:password@host:port/database"
_FOLDER = "the path of a folder"
VARIABLES = (
    Variable(
        PROJECT_VARIABLE, "project", f"the folder of a project ({project_file.FILE})", folder(project_file.FILE),
        "the working folder or the next one above it that is a project's, if there is one",
    ),
    Variable("EVERGREEN_HOME", "home", f"{_FOLDER} that can be made", home, "`.evergreen` in the working folder"),
    Variable("SPARK_REMOTE", "spark_remote", "sc://host:port", url("sc"), "the embedded engine"),
    Variable(
        "EVERGREEN_WAREHOUSE", "warehouse_url", f"{_FOLDER}, or the URL of one in an object store", warehouse,
        "`warehouse` in the home",
    ),
    Variable(
        "EVERGREEN_ONLINE_STORE", "online_store_url", "redis://user:password@host:port/0 (or rediss://)",
        url("redis", "rediss"), "SQLite in the home",
    ),
    Variable(
        STREAM_VARIABLE, "stream_url",
        "kafka://user:password@host:port,host:port?option=value (or kafkas://), files:///folder or decisions://",
        stream, "no streams",
    ),
    Variable("EVERGREEN_PREDICTIONS", "predictions_url", _DATABASE, url(*POSTGRESQL), "SQLite in the home"),
    Variable("EVERGREEN_LEDGER", "ledger_url", _DATABASE, url(*POSTGRESQL), "SQLite in the home"),
    Variable(DAGSTER_VARIABLE, "dagster_url", _DATABASE, url(*POSTGRESQL), "SQLite in the home"),
    Variable(
        "EVERGREEN_TRACKING", "tracking", "the URL of an MLflow server (http, https) or of its database",
        url("http", "https", "sqlite", *POSTGRESQL, "mysql", "mssql", "file", host=False), "SQLite in the home",
    ),
    Variable(
        "EVERGREEN_TUNING", "tuning_url", "the URL of a database, as SQLAlchemy writes it",
        url("sqlite", *POSTGRESQL, "mysql", host=False), "journal files in the home",
    ),
    Variable(
        "EVERGREEN_ALERT_WEBHOOK", "alert_webhook", "https://host/path (http:// to loopback only)",
        url("https", "http", kind=WebhookUrl), "no webhook",
    ),
    Variable("EVERGREEN_ALERT_WEBHOOK_SECRET", "alert_webhook_secret", "a text", Secret, "posts are not signed"),
    Variable(
        "EVERGREEN_ALERT_EMAIL", "alert_email",
        "smtp://user:password@host:587/?from=a@b.org&to=c@d.org (or smtps://)", url("smtp", "smtps"), "no e-mail",
    ),
    Variable(
        "EVERGREEN_ALERT_SEVERITY", "alert_severity", f"one of {', '.join(get_args(Severity))}",
        choice(*get_args(Severity)), "warning",
    ),
    Variable(
        "EVERGREEN_ENGINE_IDLE_SECONDS", "engine_idle_seconds", "a number of seconds, 1 or more", number(1), "900"
    ),
    Variable(
        "EVERGREEN_TRACKING_SECONDS", "tracking_seconds", "a number of seconds from 1 to 3600", number(1, 3600), "20"
    ),
    Variable("EVERGREEN_KEEP_LOGS_DAYS", "keep_logs_days", "a number of days, 1 or more", number(1, 36500), "90"),
    Variable("EVERGREEN_SCHEDULES", "schedules", "on or off", choice(*get_args(Switch)), "off; `evergreen up` sets on"),
    Variable("EVERGREEN_PRICE_CPU_HOUR", "price_cpu_hour", "a price, 0 or more", number(0), "0.05"),
    Variable("EVERGREEN_PRICE_GPU_HOUR", "price_gpu_hour", "a price, 0 or more", number(0), "2"),
    Variable("EVERGREEN_API_KEYS", "api_keys_file", "the path of a file in a folder that exists", file, "in the home"),
    Variable(
        "EVERGREEN_OIDC_ISSUER", "oidc_issuer", "https://host/path (http:// to loopback only)", issuer,
        "keys alone open the server",
    ),
    Variable("EVERGREEN_OIDC_AUDIENCE", "oidc_audience", "a name without spaces", word, "tokens open nothing"),
    Variable("EVERGREEN_OIDC_SCOPES", "oidc_scopes", "the name of a claim", word, "scope"),
    Variable(
        "EVERGREEN_SERVER", "server_url", "the URL (http, https) of a decision server, as http://:key@host:port",
        url("http", "https"), "none is watched",
    ),
    Variable(
        "EVERGREEN_TRACES", "traces", "the URL (http, https) of a collector of OpenTelemetry", url("http", "https"),
        "no traces",
    ),
    Variable("EVERGREEN_TRACES_SHARE", "traces_share", "a share from 0 to 1", number(0, 1), "0.001"),
    Variable(
        "EVERGREEN_DOCS", "docs_url", "the URL (http, https) of a server with dbt's page", url("http", "https"),
        "`evergreen ui` serves it",
    ),
    Variable(
        "EVERGREEN_REPORTS", "reports_url", "the URL (http, https) of a server with drift reports",
        url("http", "https"), "`evergreen ui` serves them",
    ),
    Variable(
        "EVERGREEN_DBT_PROJECT", "dbt_project", "the folder of a dbt project", folder("dbt_project.yml"),
        "the one of this package",
    ),
    Variable(
        "EVERGREEN_FEATURE_REPO", "feature_repo", "the folder of a feature repo", folder("*.py"),
        "the one of this package",
    ),
)  # fmt: skip
"""Every environment variable that is a setting; docs/operation/settings.md describes them."""


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from the environment (`VARIABLES`).

    Raises Invalid, which names the variable and shows no secret, if one cannot be what it has to be.
    """
    env = os.environ if environ is None else environ
    given = {name: text for name, text in env.items() if text}
    texts = _of_project(_project_folder(given)) | given
    found = Settings(**{each.field: each.value(texts[each.name]) for each in VARIABLES if each.name in texts})
    if found.project is not None:
        found = _assembled(found, given)
    _require_own_databases(found)
    _require_audience(found)
    remote = found.spark_remote and found.spark_remote.parts.hostname not in LOOPBACK
    if remote and "://" not in found.warehouse and only_here(found.warehouse):
        named = texts.get("EVERGREEN_WAREHOUSE", texts["EVERGREEN_HOME"])
        raise Invalid(
            "EVERGREEN_WAREHOUSE: expected a path of a-z, A-Z, 0-9 and ._/- for the cluster of SPARK_REMOTE, "
            f"found {named!r}; name another folder, or unset SPARK_REMOTE"
        )
    return found


def project(environ: Mapping[str, str] | None = None) -> ProjectFile | None:
    """The project that one works in. Raises Invalid if its file is none."""
    folder = _project_folder(os.environ if environ is None else environ)
    return None if folder is None else project_file.read(Path(folder))


def _project_folder(environ: Mapping[str, str]) -> str | None:
    found = environ.get(PROJECT_VARIABLE) or project_file.nearest(Path.cwd())
    return None if found is None else str(Path(found).resolve())


def _of_project(folder: str | None) -> dict[str, str]:
    """What holds without variables."""
    if folder is None:
        return {"EVERGREEN_HOME": ".evergreen"}
    return {"EVERGREEN_HOME": str(Path(folder) / ".evergreen"), PROJECT_VARIABLE: folder}


def _assembled(settings: Settings, given: Mapping[str, str]) -> Settings:
    """With the folders that are put together in the home, unless others were named."""
    places = {"dbt_project": "EVERGREEN_DBT_PROJECT", "feature_repo": "EVERGREEN_FEATURE_REPO"}
    named = [name for name, variable in places.items() if variable not in given]
    made: dict[str, Any] = {name: settings.home / ASSEMBLED / name for name in named}
    return replace(settings, **made)


def _require_audience(settings: Settings) -> None:
    """A token that was made for another service must not open this one."""
    if settings.oidc_issuer and not settings.oidc_audience:
        raise Invalid(
            "EVERGREEN_OIDC_AUDIENCE: expected whom tokens of EVERGREEN_OIDC_ISSUER must be made for, found nothing; "
            "set it to the name that the issuer has for this server"
        )


def _require_own_databases(settings: Settings) -> None:
    """Dagster, MLflow and Optuna each number the version of a database in the same table."""
    urls = {"EVERGREEN_TRACKING": settings.tracking, "EVERGREEN_TUNING": settings.tuning_url}
    named: dict[tuple[object, ...], str] = {}
    for name, own in {DAGSTER_VARIABLE: settings.dagster_url, **urls}.items():
        if own is None or not own.parts.hostname or own.parts.scheme in ("http", "https"):
            continue
        parts = own.parts
        database = (parts.hostname, parts.port, parts.path, parts.query)
        if database in named:
            raise Invalid(
                f"{name}: expected a database of its own, found that of {named[database]}, {own}; name another one "
                "(the same server may hold both)"
            )
        named[database] = name


@contextlib.contextmanager
def exported(**variables: str) -> Iterator[None]:
    """Set environment variables for child processes and libraries that know no other way in."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
