"""What the commands' options mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from jobs.use_case import UseCase


def use_case_named(name: str) -> UseCase:
    """The use case of `--use-case`; another name is a usage error that lists them."""
    from jobs.use_cases.catalog import USE_CASES

    known = {u.name: u for u in USE_CASES}
    if name not in known:
        raise click.UsageError(f"--use-case: expected one of {', '.join(known)}, found {name!r}")
    return known[name]
