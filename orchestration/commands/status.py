"""`evergreen status`: parsing and printing; the facts are read in `orchestration.status`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import json_option, moment, print_facts, print_json


@click.command()
@use_case_option
@json_option
def status(name: str, as_json: bool) -> None:
    """Print how a use case is: data, champion, nights, alerts, training, drift. Only reads, and starts no engine."""
    from orchestration import status as state

    own, use_case, now = settings.load(), use_case_named(name), datetime.now(UTC)
    facts = state.facts(own, use_case, now)
    if as_json:
        told = {label.replace(" ", "_"): {"text": fact.text, **fact.values} for label, fact in facts.items()}
        print_json({"use_case": name, "home": own.home, "at": now, **told})
    else:
        print_facts(f"{name} at {moment(now)} UTC, in {own.home}", {label: fact.text for label, fact in facts.items()})
