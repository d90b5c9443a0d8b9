"""What a search leaves behind: a report and what it proposes as files of the home, the end of an offer in the ledger.

The report is written last: without one, a search was interrupted, and what lies there of it means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from jobs import unfinished
from jobs.feature_search.patch import Proposed, proposed_texts
from jobs.feature_search.search import Found, search
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import feature_searches
from jobs.settings import Settings
from jobs.state_files import replace_bytes, replace_json
from jobs.use_case import UseCase

ENDINGS = ("json", "patch", "py")


@dataclass(frozen=True)
class Kept:
    """A search and the files that it left."""

    found: Found
    files: Mapping[str, Path]
    """report; patch and declarations where there are any."""
    proposed: Proposed
    answered: bool = False
    """Whether the retraining loop had offered it, and offers it no longer."""


def run(
    lakehouse: Lakehouse,
    use_case: UseCase,
    as_of: datetime,
    seconds: float,
    now: datetime,
    from_nothing: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Kept:
    """Search, keep what was found, and end the offer of the retraining loop that it answers.

    Raises:
        ValueError: as `jobs.feature_search.search.search`.
        OSError: the home cannot be written, found before the search.
    """
    settings = lakehouse.settings
    folder = settings.home / "feature_search"
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished.scratch(folder):
        standing = _answered(settings, use_case, as_of)
    changed_on = standing.due.changed_on if standing else None
    found = search(lakehouse, use_case, as_of, seconds, from_nothing, report, changed_on)
    kept = _write(folder, use_case, found)
    if standing is not None and not from_nothing:
        names = ", ".join(str(proposal.candidate.aggregate.name) for proposal in found.proposals)
        result = f"a search as of {as_of:%Y-%m-%d} proposes {names or 'nothing'} ({kept.files['report'].name})"
        feature_searches.end(settings, standing, "searched", result, now)
        return replace(kept, answered=True)
    return kept


def _answered(settings: Settings, use_case: UseCase, as_of: datetime) -> feature_searches.RecordedSearch | None:
    """The search that is due and that one as of this moment answers: it sees what the offer rests on."""
    standing = feature_searches.open_one(feature_searches.rows(settings, use_case.name))
    return standing if standing is not None and as_of >= standing.due.as_of else None


def _write(folder: Path, use_case: UseCase, found: Found) -> Kept:
    """Files of an earlier search of the same moment go first: they would be taken for this one's."""
    stem = f"{use_case.name}_{found.as_of:%Y-%m-%dT%H%M%S}"
    paths = {ending: folder / f"{stem}.{ending}" for ending in ENDINGS}
    proposed = proposed_texts(use_case, [proposal.candidate for proposal in found.proposals])
    for path in paths.values():
        path.unlink(missing_ok=True)
    files = {"report": paths["json"]}
    for what, ending, content in (("patch", "patch", proposed.patch), ("declarations", "py", proposed.declarations)):
        if content:
            files[what] = paths[ending]
            replace_bytes(paths[ending], content)
    replace_json(paths["json"], found.summary())
    return Kept(found, files, proposed)
