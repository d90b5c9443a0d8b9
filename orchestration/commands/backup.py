"""`evergreen backup` and `evergreen restore`: parsing and printing; the work is in `jobs.backups`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from jobs import settings as settings_module
from orchestration.options import FILE
from orchestration.printing import say

NEW_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=NEW_FILE)
def backup(file: Path) -> None:
    """Write the home to a new FILE, a tar archive that only you may read; a run may be under way."""
    from jobs.backups import backup as work

    made = work.write(settings_module.load(), file, datetime.now(UTC))
    say(f"{file}: {made.files:,} files, {made.size / 1e6:,.0f} MB, {len(made.versions)} tables")
    for missing in made.missing:
        say(f"{missing}: registered as input, but missing, and so not in the backup", "note", "yellow")
    for variable in made.outside:
        say(f"{variable} names a store outside the home, which has to be backed up by itself", "note", "yellow")


@click.command()
@click.argument("file", type=FILE)
def restore(file: Path) -> None:
    """Make EVERGREEN_HOME, which must not exist yet, from a backup FILE."""
    from jobs.backups import restore as work
    from orchestration import restored_home

    settings = settings_module.load()
    restored = work.restore(file, settings.home)
    ended = restored_home.make_own(settings)
    say(f"{settings.home}: {restored.files:,} files of {restored.home}, as it was at {restored.made[:16]} UTC")
    for before, now in restored.moved.items():
        say(f"{before}: there is none on this machine; it is read from {now} now", "note", "yellow")
    for run in ended:
        say(f"run {run} was under way then, and is marked as failed; the next run does its work", "note", "yellow")
