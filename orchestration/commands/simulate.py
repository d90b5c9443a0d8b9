"""`evergreen simulate`: parsing and progress; the world is made in `jobs.simulate`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestration.options import DAYS, SEED
from orchestration.printing import say


@click.command()
@click.option("--scenario", default="stable", show_default=True, help="One of the scripted worlds.")
@click.option("--seed", type=SEED, help="Another seed than the scenario's own.")
@click.option("--days", type=DAYS, help="Another length in days.")
@click.option("--customers", type=click.IntRange(1, 10_000_000), help="Another number of card holders.")
@click.option("--format", "file_format", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option("--truth", is_flag=True, help="Write the full truth too (for judging, never for features).")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def simulate(
    scenario: str, seed: int | None, days: int | None, customers: int | None, file_format: str, truth: bool, out: Path
) -> None:
    """Write a simulated card-payment world: transactions, late fraud reports, profiles."""
    from rich.progress import Progress

    from jobs.simulate import simulator

    if scenario not in simulator.SCENARIOS:
        raise click.UsageError(f"--scenario: expected one of {', '.join(simulator.SCENARIOS)}, found {scenario!r}")
    # Holders to terminals stay 4:3: another ratio is another difficulty.
    terminals = max(12, customers * 3 // 4) if customers else None
    changes = {"seed": seed, "days": days, "customers": customers, "terminals": terminals}
    world = simulator.scenario(scenario, **{k: v for k, v in changes.items() if v is not None})
    with Progress() as bar:
        task = bar.add_task(f"simulating {scenario}", total=world.days)
        written = simulator.write(
            world, out, file_format, truth=truth, progress=lambda done, total: bar.update(task, completed=done)
        )
    for name, path in written.items():
        say(f"{name:<13} {path}")
