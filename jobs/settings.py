"""Where things are and how to reach them: the only module that reads the environment.

Defaults and derived paths belong here and no other logic; all other modules receive a `Settings`.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

Severity = Literal["warning", "error"]
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Paths and URLs of one Evergreen installation; every path is absolute."""

    home: Path
    spark_remote: str | None = None
    """Spark Connect URL of an existing cluster; None means the embedded engine."""
    warehouse_url: str | None = None
    """Where Delta tables live, if not under `home`; a cluster has to reach it by the same name."""
    online_store_url: str | None = None
    """`redis://host:port` for the online store; None means SQLite under `home`."""
    predictions_url: str | None = None
    """`postgresql://user@host/database` for the table of nightly predictions; None means SQLite under `home`."""
    ledger_url: str | None = None
    """`postgresql://user@host/database` for the ledger of decisions and pins; None means SQLite under `home`."""
    engine_idle_seconds: float = 900.0
    """The embedded engine ends itself after this long without a connected client."""
    dbt_project: Path = ROOT / "dbt_project"
    feature_repo: Path = ROOT / "feature_repo"
    tracking: str | None = None
    """URL of the MLflow server or database; None means SQLite under `home`."""
    tracking_seconds: float = 20.0
    """How long one call of the tracking server may take before the run gives up."""
    tuning_url: str | None = None
    """SQLAlchemy URL of the database that keeps Optuna's studies; None means journal files under `home`."""
    price_cpu_hour: float = 0.05
    price_gpu_hour: float = 2.0
    """Prices of an hour of one CPU core and of one GPU, both in the same currency."""
    alert_webhook: str | None = field(default=None, repr=False)
    """`https://...` that alerts are posted to as JSON; None means no webhook. It may hold a token and is not shown."""
    alert_webhook_secret: str | None = field(default=None, repr=False)
    """Key that posted alerts are signed with (HMAC-SHA256)."""
    alert_email: str | None = field(default=None, repr=False)
    """`smtp://user:password@host:587/?from=...&to=...` for alerts by e-mail; None means no e-mail."""
    alert_severity: Severity = "warning"
    """Alerts below this severity go to the log only, not to the webhook or by e-mail."""

    @property
    def warehouse(self) -> str:
        return self.warehouse_url or str(self.home / "warehouse")

    @property
    def tracking_url(self) -> str:
        return self.tracking or f"sqlite:///{self.home}/tracking/mlflow.db"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def predictions(self) -> str:
        """Where nightly predictions can be queried, for people: without a password."""
        if self.predictions_url is None:
            return str(self.serving / "predictions.sqlite")
        return re.sub(r"//[^@/]*@", "//", self.predictions_url)

    @property
    def serving(self) -> Path:
        """What is served from files: the database of predictions, exported models."""
        return self.home / "serving"

    @property
    def state(self) -> Path:
        """Small JSON files: registered sources, accepted schemas, run fingerprints."""
        return self.home / "state"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from the environment (`EVERGREEN_*`, `SPARK_REMOTE`)."""
    env = os.environ if environ is None else environ
    return Settings(
        home=Path(env.get("EVERGREEN_HOME") or ".evergreen").expanduser().absolute(),
        spark_remote=env.get("SPARK_REMOTE") or None,
        warehouse_url=env.get("EVERGREEN_WAREHOUSE") or None,
        online_store_url=env.get("EVERGREEN_ONLINE_STORE") or None,
        predictions_url=env.get("EVERGREEN_PREDICTIONS") or None,
        ledger_url=env.get("EVERGREEN_LEDGER") or None,
        engine_idle_seconds=float(env.get("EVERGREEN_ENGINE_IDLE_SECONDS") or 900),
        dbt_project=Path(env.get("EVERGREEN_DBT_PROJECT") or ROOT / "dbt_project").absolute(),
        feature_repo=Path(env.get("EVERGREEN_FEATURE_REPO") or ROOT / "feature_repo").absolute(),
        tracking=env.get("EVERGREEN_TRACKING") or None,
        tracking_seconds=float(env.get("EVERGREEN_TRACKING_SECONDS") or 20),
        tuning_url=env.get("EVERGREEN_TUNING") or None,
        price_cpu_hour=float(env.get("EVERGREEN_PRICE_CPU_HOUR") or 0.05),
        price_gpu_hour=float(env.get("EVERGREEN_PRICE_GPU_HOUR") or 2.0),
        alert_webhook=env.get("EVERGREEN_ALERT_WEBHOOK") or None,
        alert_webhook_secret=env.get("EVERGREEN_ALERT_WEBHOOK_SECRET") or None,
        alert_email=env.get("EVERGREEN_ALERT_EMAIL") or None,
        alert_severity=_severity(env.get("EVERGREEN_ALERT_SEVERITY") or "warning"),
    )


def _severity(name: str) -> Severity:
    if name not in get_args(Severity):
        raise ValueError(f"EVERGREEN_ALERT_SEVERITY: expected one of {', '.join(get_args(Severity))}, found {name!r}")
    return cast(Severity, name)


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
