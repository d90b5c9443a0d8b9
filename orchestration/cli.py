"""The `evergreen` command. Parsing, calling and printing; the work is in `jobs`, the wiring beside this file.

Heavy libraries are imported inside the commands that need them, so that `--help` and "nothing new" are instant.
"""

import atexit
import gc
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import click

from jobs import settings as settings_module
from orchestration.commands import alerts, models, retraining, review
from orchestration.options import FILE, given, input_files, use_case_named

MOMENTS = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="evergreen-ml")
def main() -> None:
    """Evergreen: continuous training, from raw Delta tables to point-in-time features.

    State lives under EVERGREEN_HOME (default .evergreen); deleting it is a clean start. Tables go through the
    embedded engine unless SPARK_REMOTE names a Spark Connect server.
    """


@main.command()
@click.option("--use-case", "name", default="fraud", show_default=True)
@input_files
@click.option("--columns", type=FILE, help="YAML: your column names and time zone (docs/data/your-own-data.md).")
@click.option("--as-of", type=MOMENTS, help="Know the world as it was known then (UTC); default: end of the input.")
@click.option("--full", is_flag=True, help="Run even if nothing is new.")
def run(name: str, columns: Path | None, as_of: datetime | None, full: bool, **files: tuple[Path, ...]) -> None:
    """Build the whole lineage of a use case, doing only what is new.

    Files are parquet or CSV, or folders of them; each option may be repeated. Without any, the input registered before
    is used, or at first the built-in one.
    """
    from orchestration.commands import run as runner

    moment = as_of.replace(tzinfo=UTC) if as_of else None
    # A run imports and keeps a million objects and leaves little garbage: looking for it again and again, and once
    # more at the end, takes seconds.
    gc.set_threshold(100_000, 20, 100)
    status = runner.run(settings_module.load(), use_case_named(name), given(files), columns, moment, full)
    _end(status)


def _end(status: int) -> None:
    """End at once: to take apart all that a run imported takes seconds, in which torch's libraries complain."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@main.command()
@click.option("--use-case", "name", default="fraud", show_default=True)
@click.option("--transactions", type=FILE, multiple=True, required=True, help="Parquet or CSV file (or folder).")
@click.option("--reports", type=FILE, multiple=True, help="Labels, when they are not columns of the transactions.")
@click.option("--columns", type=FILE, help="YAML: your column names and time zone (docs/data/your-own-data.md).")
@click.option("--train-from", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day of the train week.")
@click.option("--train-days", type=click.IntRange(1), default=7, show_default=True)
@click.option("--delay-days", type=click.IntRange(0), default=7, show_default=True, help="Until labels are known.")
@click.option("--test-days", type=click.IntRange(1), default=7, show_default=True)
@click.option("--trials", type=click.IntRange(0), default=0, help="Parameters to try per family; 0: the declared ones.")
@click.option("--families", multiple=True, help="Families to compare: one or more names.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="JSON file to write.")
@click.argument("more_families", nargs=-1, metavar="")
def backtest(
    name: str,
    transactions: tuple[Path, ...],
    reports: tuple[Path, ...],
    columns: Path | None,
    train_from: datetime,
    train_days: int,
    delay_days: int,
    test_days: int,
    trials: int,
    families: tuple[str, ...],
    out: Path,
    more_families: tuple[str, ...],
) -> None:
    """Measure one fold: train on what was known when the test days begin, decide about them, compare with the truth.

    The protocol and test-set rule of the Fraud Detection Handbook (docs/models/backtest.md).
    """
    from jobs.backtesting.folds import Fold
    from orchestration.commands import backtest as job

    files = {"transactions": transactions, "reports": reports}
    if more_families and not families:
        raise click.UsageError(f"Got unexpected extra arguments ({' '.join(more_families)})")
    asked = [family for names in (*families, *more_families) for family in names.split(",")]
    fold = Fold(train_from.date(), train_days, delay_days, test_days)
    try:
        result = job.run(settings_module.load(), use_case_named(name), files, columns, fold, asked, trials, out)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    for key in ("family", "auc_roc", "average_precision", "card_precision_at_100", "train_rows", "test_rows"):
        click.echo(f"{key:<22} {result.get(key)}")


@main.command()
@click.option("--use-case", "name", default="fraud", show_default=True)
@input_files
@click.option("--columns", type=FILE, help="YAML: your column names and time zone (docs/data/your-own-data.md).")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First day; default: that of the file.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day; default: that of the file.")
@click.option("--policy", type=click.Choice(["never", "weekly", "daily", "auto"]), required=True)
@click.option("--labels", type=click.Choice(["reported", "instant"]), default="reported", show_default=True)
@click.option("--act", is_flag=True, help="Block what scores above the threshold: it never gets a label.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="With --act; default: the use case's own.")
@click.option("--explore", type=click.FloatRange(0, 1), default=0.0, help="With --act: chance to be let through.")
@click.option("--cap", type=click.IntRange(0), show_default="20", help="With --explore: at most so many a day.")
@click.option("--uncorrected", is_flag=True, help="With --act: learn as if nobody had chosen what is seen.")
@click.option("--memory", type=click.IntRange(1), help="Days a training looks back; default: the use case's own.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write.")
def replay(
    name: str,
    columns: Path | None,
    first: datetime | None,
    last: datetime | None,
    policy: Literal["never", "weekly", "daily", "auto"],
    labels: str,
    act: bool,
    threshold: float | None,
    explore: float,
    cap: int | None,
    uncorrected: bool,
    memory: int | None,
    seed: int,
    out: Path,
    **files: tuple[Path, ...],
) -> None:
    """Replay months of continuous training in minutes: what would this policy have done, and how well?

    Without files, the built-in input is replayed. Writes timeline.parquet and timeline.png; started again after it was
    killed, it goes on where it was (docs/monitoring/replay.md).
    """
    from rich.progress import Progress

    from orchestration.commands import replay as job

    if not act and (explore or uncorrected or threshold is not None or cap is not None):
        raise click.UsageError("--explore, --cap, --uncorrected and --threshold: expected --act too, found none")
    span = (first.date() if first else None, last.date() if last else None)
    try:
        with Progress(transient=True) as bar:
            task = bar.add_task("features", total=None)

            def show(done: int, total: int, said: str) -> None:
                bar.update(task, description="days", completed=done, total=total)

            settings, instant = settings_module.load(), labels == "instant"
            use_case = use_case_named(name)
            looked_back = None if memory is None else timedelta(days=memory)
            acting = job.acting_on(use_case, threshold, explore, cap, not uncorrected, seed) if act else None
            made = job.run(
                settings, use_case, given(files), columns, policy, out, span, instant, seed, show, acting, looked_back
            )
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    scored = made["average_precision"].drop_nulls().to_list()
    click.echo(f"{made.height} days, {made['fits'][-1]} trainings, {made['drift_alarm'].sum()} days with an alarm")
    click.echo(f"mean average precision {sum(scored) / max(1, len(scored)):.3f}")
    click.echo(f"{out / 'timeline.parquet'}, {out / 'timeline.png'}")
    _end(0)


@main.command()
def doctor() -> None:
    """Check Python, Java, stores, ports and disk, and say how to mend what is missing."""
    from orchestration.commands import doctor as checks

    sys.exit(checks.run(settings_module.load()))


@main.command()
@click.option("--scenario", default="stable", show_default=True, help="One of the scripted worlds.")
@click.option("--seed", type=int, help="Another seed than the scenario's own.")
@click.option("--days", type=int, help="Another length in days.")
@click.option("--customers", type=int, help="Another number of card holders.")
@click.option("--format", "file_format", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option("--truth", is_flag=True, help="Write the full truth too (for judging, never for features).")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def simulate(
    scenario: str, seed: int | None, days: int | None, customers: int | None, file_format: str, truth: bool, out: Path
) -> None:
    """Write a simulated card-payment world: transactions, late fraud reports, profiles."""
    from rich.progress import Progress

    from jobs.simulate import simulator as world_module

    if scenario not in world_module.SCENARIOS:
        raise click.UsageError(f"--scenario: expected one of {', '.join(world_module.SCENARIOS)}, found {scenario!r}")
    # Holders to terminals stay 4:3: another ratio is another difficulty.
    terminals = max(12, customers * 3 // 4) if customers else None
    changes = {"seed": seed, "days": days, "customers": customers, "terminals": terminals}
    world = world_module.scenario(scenario, **{k: v for k, v in changes.items() if v is not None})
    with Progress() as bar:
        task = bar.add_task(f"simulating {scenario}", total=world.days)
        written = world_module.write(
            world, out, file_format, truth=truth, progress=lambda done, total: bar.update(task, completed=done)
        )
    for name, path in written.items():
        click.echo(f"{name:<13} {path}")


@main.command()
@click.option("--port", type=int, default=15002, show_default=True)
def spark(port: int) -> None:
    """Run a local Apache Spark 4.2 + Delta Connect server (needs Java 17), for those who want it."""
    from jobs.lakehouse import spark_server

    sys.exit(spark_server.foreground(settings_module.load(), port))


@main.group()
def schema() -> None:
    """What the input files look like, and what changed."""


@schema.command()
@click.option("--use-case", "name", default="fraud", show_default=True)
@click.argument("source", required=False)
def accept(name: str, source: str | None) -> None:
    """Accept the changed schema of a SOURCE (default: of all) that stopped a run."""
    from jobs.ingest import contracts

    use_case = use_case_named(name)
    for chosen in [use_case.source(source)] if source else use_case.sources:
        for line in contracts.accept(settings_module.load(), use_case, chosen):
            click.echo(line)


@main.command()
@click.option("--use-case", "name", default="fraud", show_default=True)
@click.option("--retain-hours", type=float, default=168.0, show_default=True, help="Keep removed files this long.")
def maintain(name: str, retain_hours: float) -> None:
    """Compact and vacuum the tables; versions that a training set was built from always stay readable."""
    from jobs.lakehouse import maintenance
    from jobs.lakehouse.tables import attach

    for line in maintenance.run(attach(settings_module.load()), use_case_named(name), retain_hours):
        click.echo(line)


@main.command()
@click.option("--use-case", "name", default="fraud", show_default=True)
@click.option("--tune", is_flag=True, help="Search the parameters again too.")
@click.argument("model_version", type=int)
def reproduce(name: str, tune: bool, model_version: int) -> None:
    """Train MODEL_VERSION again from the recorded table versions and compare its metrics."""
    from orchestration.commands import reproduce as reproduction

    sys.exit(reproduction.run(settings_module.load(), use_case_named(name), model_version, tune))


@main.group()
def engine() -> None:
    """The embedded engine of this home."""


@engine.command()
def stop() -> None:
    """Stop the embedded engine; the next command that needs it starts it again."""
    from jobs.lakehouse import engine as engine_module

    engine_module.stop(settings_module.load())


@engine.command()
def url() -> None:
    """Print the Spark Connect URL of the shared session (starts the engine if needed)."""
    from jobs.lakehouse import engine as engine_module

    click.echo(engine_module.url(settings_module.load()))


@main.command()
@click.option("--port", type=int, default=3000, show_default=True)
def ui(port: int) -> None:
    """Open the Dagster UI (with its daemon) on loopback."""
    from orchestration.commands import run as runner

    sys.exit(runner.ui(settings_module.load(), port))


for command in (
    *models.COMMANDS,
    alerts.alerts,
    retraining.retraining,
    review.review,
):
    main.add_command(command)
