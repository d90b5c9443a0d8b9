"""`evergreen replay`: parsing and printing; the work is in `orchestration.replay_command`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import click

from jobs import settings
from orchestration.options import (
    DAY,
    DAYS,
    SEED,
    Between,
    chosen_files,
    columns_option,
    input_files,
    use_case_named,
    use_case_option,
)
from orchestration.printing import say
from orchestration.process import end_at_once


@click.command()
@use_case_option
@input_files
@columns_option
@click.option("--from", "first", type=DAY, help="First day; default: that of the file.")
@click.option("--to", "last", type=DAY, help="Last day; default: that of the file.")
@click.option("--policy", type=click.Choice(["never", "weekly", "daily", "auto"]), required=True)
@click.option("--labels", type=click.Choice(["reported", "instant"]), default="reported", show_default=True)
@click.option("--act", is_flag=True, help="Block what scores above the threshold: it never gets a label.")
@click.option("--threshold", type=Between(0, 1), help="With --act; default: the use case's own.")
@click.option("--explore", type=Between(0, 1), default=0.0, help="With --act: chance to be let through.")
@click.option("--cap", type=click.IntRange(0, 10**9), show_default="20", help="With --explore: at most so many a day.")
@click.option("--uncorrected", is_flag=True, help="With --act: learn as if labels were not selected by decisions.")
@click.option(
    "--rollout",
    "rollouts",
    type=click.Choice(["shadow", "canary"]),
    multiple=True,
    help="Live through each promotion again as if it had been brought in so; may be given twice.",
)
@click.option("--memory", type=DAYS, help="Days a training looks back; default: the use case's own.")
@click.option("--seed", type=SEED, default=0, show_default=True)
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
    rollouts: tuple[str, ...],
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

    from jobs.backtesting.timeline import SEARCH_DUE, objective_of
    from orchestration import replay_command

    if not act and (explore or uncorrected or threshold is not None or cap is not None):
        raise click.UsageError("--explore, --cap, --uncorrected and --threshold: expected --act too, found none")
    use_case = use_case_named(name)
    acting = replay_command.acting_on(use_case, threshold, explore, cap, not uncorrected, seed) if act else None
    request = replay_command.ReplayRequest(
        policy, first.date() if first else None, last.date() if last else None, labels == "instant", seed, acting,
        None if memory is None else timedelta(days=memory), rollouts,
    )  # fmt: skip
    with Progress(transient=True) as bar:
        task = bar.add_task("features", total=None)
        timeline = replay_command.run(
            settings.load(), use_case, chosen_files(files), columns, request, out,
            lambda done, total, _: bar.update(task, description="days", completed=done, total=total),
        )  # fmt: skip
    objective = objective_of(timeline)
    scored = timeline[objective].drop_nulls().to_list()
    say(f"{timeline.height} days, {timeline['fits'][-1]} trainings, {timeline['drift_alarm'].sum()} days with an alarm")
    say(f"mean {objective.replace('_', ' ')} {sum(scored) / max(1, len(scored)):.3f}")
    if SEARCH_DUE in timeline.columns:
        due = timeline.filter(SEARCH_DUE)["date"]
        say(f"a search for features was due on {len(due)} days, first on {due[0]} (docs/models/feature-search.md)")
    if rollouts:
        _print_rollouts(out / replay_command.ROLLOUTS)
    say(f"{out / 'timeline.parquet'}, {out / 'timeline.png'}")
    end_at_once(0)


def _print_rollouts(file: Path) -> None:
    """Print what each way to bring a model in came to, over all promotions."""
    import polars as pl

    from jobs.backtesting import replay_rollouts

    told = replay_rollouts.summary(pl.read_parquet(file))
    if told.is_empty():
        say("no model took the place of another, so that there is nothing to bring in")
    for row in told.to_dicts():
        ended = f"{row['completed']} completed and {row['rolled_back']} rolled back"
        money = (
            f"{row['money_gained']:,.0f} of money over the former champions, {row['worst_promotion']:,.0f} at the worst"
        )
        say(f"{row['strategy']}: {ended} of {row['promotions']}, after {row['median_days']:g} days (median); {money}")
