"""What `evergreen replay` does: the features of a file, built once by the lineage, then its days one after the other.

What a day is, and how policies decide, is in `jobs.backtesting.replay`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from jobs.actions import exploration
from jobs.actions.exploration import Acting, without_label_features
from jobs.backtesting import replay, replay_rollouts, rollouts_picture, timeline
from jobs.backtesting.replay_plan import FIRST_TRAINING, Plan, Policy
from jobs.datasets import history
from jobs.errors import Invalid
from jobs.settings import Settings
from jobs.use_case import UseCase, problem_of, review_of
from orchestration.prepared_features import SETTLED, prepared

ROLLOUTS = "rollouts.parquet"


@dataclass(frozen=True)
class ReplayRequest:
    """What is asked of a replay; what is None is taken from the file or from the use case."""

    policy: Policy
    first: date | None = None
    last: date | None = None
    instant: bool = False
    """Every label is known with its event."""
    seed: int = 0
    acting: Acting | None = None
    memory: timedelta | None = None
    """How far a training looks back."""
    rollouts: tuple[str, ...] = ()
    """Strategies by which each promotion is lived through again."""

    def plan(self, first_day: date, last_day: date) -> Plan:
        """The plan for a file of these days. Raises ValueError if its span holds no days to decide on."""
        first, last = self.first or first_day, self.last or last_day
        trained_on = max(first, first_day + FIRST_TRAINING)
        if not (first_day <= first and trained_on < last <= last_day):
            raise Invalid(
                f"replay: expected days between {first_day} and {last_day}, the last one after the first training on "
                f"{trained_on}, found {first} to {last}; choose --from and --to, or give a longer file"
            )
        return Plan(self.policy, first, last, trained_on, self.instant, self.seed, acting=self.acting)

    @property
    def title(self) -> str:
        """The words over the picture, after the name of the use case."""
        return f"policy {self.policy}" + (", labels at once" if self.instant else "")


def run(
    settings: Settings,
    use_case: UseCase,
    files: Mapping[str, Sequence[Path]],
    columns: Path | None,
    request: ReplayRequest,
    out: Path,
    progress: replay.ReplayProgress | None = None,
) -> pl.DataFrame:
    """Replay; writes `timeline.parquet` and `timeline.png` to `out` and returns the rows of the first.

    If the request acts, it writes `actions.parquet` too: the decision about each event, and its probability.

    Raises:
        ValueError: the span holds no days to decide on, or `out` holds another replay.
    """
    with prepared(settings, use_case, files, columns) as (lakehouse, inputs):
        history.build(lakehouse, use_case, inputs.end + SETTLED)
    plan, acting = request.plan(inputs.first_day, inputs.last_day), request.acting
    own = replace(settings, home=out / "home", warehouse_url=str(lakehouse.warehouse))
    events = history.read(lakehouse, use_case)
    if acting is not None:
        events = without_label_features(events, use_case)
    # The features of an event do not depend on it, so that the history is the same one.
    if request.memory is not None:
        use_case = replace(use_case, training_window=request.memory)
    played = replay.run(own, use_case, events, plan, out, progress)
    rows = timeline.frame(played.days, replay.outcomes(events, played.decided), events.task.objective.name)
    if acting is not None:
        ids = history.event_ids(lakehouse, use_case)
        timeline.parquet(
            pl.DataFrame(exploration.table(played.scored_days(), events, ids, acting)), out / "actions.parquet"
        )
    timeline.write(rows, out, f"{use_case.name}, {request.title}")
    if request.rollouts:
        write_rollouts(use_case, events, played, request.rollouts, out)
    return rows


def write_rollouts(
    use_case: UseCase, events: history.History, played: replay.Replayed, kinds: Sequence[str], out: Path
) -> None:
    """Live through the promotions of a replay again; writes `rollouts.parquet` and `rollouts.png`."""
    declared = problem_of(use_case).rollout
    strategies = [replace(declared, kind=kind) for kind in kinds]  # type: ignore[arg-type]
    brought = replay_rollouts.lived_through(use_case, events, played.days, played.predict, strategies)
    table = replay_rollouts.frame(brought)
    timeline.parquet(table, out / ROLLOUTS)
    rollouts_picture.write(table, out / "rollouts.png", f"{use_case.name}, promotions brought in another way")


def acting_on(
    use_case: UseCase, threshold: float | None, explore: float, cap: int | None, corrected: bool, seed: int
) -> Acting:
    """How scores are acted on; by default, events above the use case's own threshold are blocked."""
    own = review_of(use_case).threshold
    return Acting(
        own if threshold is None else threshold,
        explore=explore,
        cap=Acting.cap if cap is None else cap,
        corrected=corrected,
        seed=seed,
    )
