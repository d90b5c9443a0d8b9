"""Use cases about a number and about classes, from raw files to predictions of the night and how good they were."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from worlds.deliveries import ARRIVALS, CLASSES, DAY, DELAYS, FIRST, added, files, of_every_kind, orders

from jobs.actions import review_queue, verdicts
from jobs.datasets import training_set
from jobs.ground_truth import estimates_table, performance_table
from jobs.ingest import registered_inputs, registration
from jobs.ingest.registered_inputs import InputError, verdict_folder
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.leaderboard import board_table
from jobs.ledger import promotions
from jobs.scoring import prediction_log
from jobs.settings import Settings
from jobs.use_case import UseCase, problem_of

TRAINED, LATER = FIRST + 90 * DAY, FIRST + 104 * DAY


def run(settings: Settings, use_case: UseCase, folder: Path, until: datetime) -> dict[str, dict[str, object]]:
    from orchestration.lineage_run import execute

    rows = orders()
    given = registration.describe(use_case, files(rows, folder, use_case, until), None, until)
    known = registered_inputs.register(settings, use_case, given)
    outcome = execute(settings, use_case, until, (known.first_day, known.last_day), use_cases=(use_case,), show=False)
    assert outcome.success, outcome.errors
    return outcome.assets


def log(lakehouse: Lakehouse, use_case: UseCase) -> pl.DataFrame:
    rows = pl.DataFrame(lakehouse.to_arrow(prediction_log.table(use_case)))
    return rows.join(orders().rename(str.lower).select("order_id", "hours", "came"), on="order_id")


@pytest.mark.parametrize("use_case", [of_every_kind(DELAYS), of_every_kind(ARRIVALS)], ids=["regression", "multiclass"])
def test_the_lineage_ends_with_a_champion_its_predictions_and_how_good_they_were(
    home: Settings, tmp_path: Path, use_case: UseCase
) -> None:
    settings = added(home, tmp_path, use_case)
    run(settings, use_case, tmp_path / "first", TRAINED)
    view = promotions.view(settings, use_case)
    assert view.champion is not None and not view.provisional
    evidence = view.decisions[-1].evidence
    is_regression = problem_of(use_case).task == "regression"
    assert evidence["objective"] == ("mean_absolute_error" if is_regression else "log_loss")
    assets = run(settings, use_case, tmp_path / "later", LATER)
    built = {name.split("/")[-1] for name in assets}
    monitored = {"performance", "label_maturity", "evidence", "drift", "estimate"}
    assert monitored | {"explanation", "online_model", "review_queue"} <= built
    assert "fairness" not in built, "what the task cannot have is not built"
    lakehouse = attach(settings)
    scored = log(lakehouse, use_case).filter(pl.col("event_date") >= TRAINED.date())
    assert scored.height > 500
    measured = performance_table.of(use_case, problem_of(use_case)).read(lakehouse, TRAINED.date())
    measured = measured.filter(pl.col("judged") & (pl.col("slice") == "all"))
    daily = dict(measured.group_by("metric").agg(pl.col("value").mean()).iter_rows())
    _every_kind(lakehouse, use_case, assets)
    if is_regression:
        inside = (scored["hours"] >= scored["lower"]) & (scored["hours"] <= scored["upper"])
        assert abs(inside.to_numpy().mean() - 0.9) < 0.05
        error = (scored["score"] - scored["hours"]).abs().mean()
        spread = (scored["hours"] - scored["hours"].median()).abs().mean()
        assert error < 0.5 * spread  # type: ignore[operator]
        assert abs(daily["interval_coverage"] - 0.9) < 0.06 and daily["mean_absolute_error"] < 0.5 * spread  # type: ignore[operator]
    else:
        told = [json.loads(text) for text in scored["probabilities"]]
        assert all(sorted(each) == sorted(CLASSES) for each in told)
        np.testing.assert_allclose([sum(each.values()) for each in told], 1, atol=1e-5)
        assert scored["prediction"].to_list() == [max(each, key=each.__getitem__) for each in told]
        right = (scored["prediction"] == scored["came"]).to_numpy().mean()
        commonest = max(scored["came"].value_counts()["count"]) / scored.height
        assert right > commonest and abs(daily["accuracy"] - right) < 0.1
    expected = estimates_table.read(lakehouse, use_case, TRAINED.date())
    assert set(expected["metric"]) == {evidence["objective"]} and expected.height >= 1
    real = float(np.mean([value for name, value in daily.items() if name == evidence["objective"]]))
    assert expected["expected"].to_numpy() == pytest.approx(real, rel=0.35)
    assert scored["decision"].null_count() == scored.height
    _reviewed(settings, lakehouse, use_case, tmp_path / "verdicts.csv")
    _on_the_board(lakehouse, use_case)
    _unlabelled(lakehouse, use_case)


def _on_the_board(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Champion, the other family and the baselines, by the objective of the task."""
    board = board_table.read(lakehouse, use_case)
    assert board is not None and board.champion is not None and board.champion.training_seconds
    assert board.about["as_of"] == LATER.isoformat()
    measured = [each for each in board.standings if each.value is not None]
    assert {"champion", "family", "baseline"} <= {each.role for each in measured}
    values = [each.value or 0.0 for each in measured]
    assert values == sorted(values)[:: -1 if board.about["greater_is_better"] else 1]
    assert {each.rows for each in measured} == {board.about["rows"]}


def _every_kind(lakehouse: Lakehouse, use_case: UseCase, assets: dict[str, Any]) -> None:
    """Every kind reaches the log as the file had it, and is one feature where people look."""
    logged = pl.DataFrame(lakehouse.to_arrow(prediction_log.table(use_case)))
    both = logged.join(orders().rename(str.lower), on="order_id", suffix="_in_file").sort("order_id")
    age = (both["left_at"] - both["ordered_at"]).dt.total_microseconds() / 86_400_000_000
    np.testing.assert_allclose(both["ordered_at_age"].to_numpy(), age.to_numpy(), rtol=1e-6)
    assert both["carrier"].to_list() == [str(code) for code in both["carrier_in_file"]]
    assert [text and json.loads(text) for text in both["words"]] == [
        None if words is None else pytest.approx(words, rel=1e-6) for words in both["words_in_file"].to_list()
    ]
    assert both["remark"].to_list() == both["remark_in_file"].to_list()
    importance = str(assets[f"{use_case.name}/training/explanation"]["importance"])
    assert (
        all(name in importance for name in ("ordered_at_age", "carrier", "words", "remark"))
        and "words]" not in importance
    )


def _reviewed(settings: Settings, lakehouse: Lakehouse, use_case: UseCase, file: Path) -> None:
    """The declared events of the last day were asked about, and answers are labels of the next run."""
    last = (LATER - timedelta(microseconds=1)).date()
    queue = pl.DataFrame(review_queue.stored_queue(lakehouse, use_case, last))
    day = log(lakehouse, use_case).filter((pl.col("event_date") == last) & ~pl.col("order_id").is_in(_arrived()))
    ranking = day["score"].to_numpy()
    if problem_of(use_case).task == "multiclass":
        chances = [np.array(list(json.loads(text).values())) for text in day["probabilities"]]
        ranking = np.array([-(each * np.log(each)).sum() for each in chances])
    first = day["order_id"].to_numpy()[np.argsort(-ranking)][:3]
    assert queue.height == 5 and queue["order_id"][:3].to_list() == first.tolist()
    word, wrong = ("12.5", "inf") if problem_of(use_case).task == "regression" else ("late", "Late")
    file.write_text(f"order_id,verdict,reviewed_at\n{first[0]},{word},{LATER}\n{first[1]},unsure,{LATER}\n")
    assert verdicts.register(settings, use_case, file, LATER + DAY) == 1
    [written] = verdict_folder(settings, use_case).glob("*.csv")
    assert written.read_text().splitlines()[1] == f"{first[0]},{word},{LATER:%Y-%m-%dT%H:%M:%S.%f}Z"
    file.write_text(f"order_id,verdict,reviewed_at\n{first[0]},{wrong},{LATER}\n")
    with pytest.raises(InputError, match=f"line 2: expected .*, found '{wrong}'; correct the line"):
        verdicts.register(settings, use_case, file, LATER + DAY)


def _arrived() -> pl.Series:
    return orders().filter(pl.col("ARRIVED_AT") <= LATER)["ORDER_ID"]


def _unlabelled(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Orders that have not arrived are left out, or have the label that is declared once they are old enough."""
    label: float | str = -1.0 if problem_of(use_case).task == "regression" else "it's lost"
    declared = replace(problem_of(use_case), unlabelled=label)
    result = training_set.build(
        lakehouse, replace(use_case, problem=declared, label_maturity=timedelta(hours=3)), LATER
    )
    assert result["built"]
    rows = pl.DataFrame(lakehouse.to_arrow(use_case.training_set, columns=["order_id", "left_at", use_case.label]))
    on_the_way = orders().filter((pl.col("LEFT_AT") <= LATER - timedelta(hours=3)) & (pl.col("ARRIVED_AT") > LATER))
    found = rows.filter(pl.col(use_case.label) == label)["order_id"].sort()
    assert len(found) > 10 and found.to_list() == on_the_way["ORDER_ID"].sort().to_list()
