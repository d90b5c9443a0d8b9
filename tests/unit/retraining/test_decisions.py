"""The ledger of retraining on SQLite and a real PostgreSQL: decided once, and true about what came of it."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import settings
from jobs.ledger.database import LedgerUnreachable
from jobs.retraining import decisions
from jobs.retraining.decisions import RecordedDecision
from jobs.retraining.policy import Evidence, RetrainingDecision, retrain_policy
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def evidence(day: int, drift: float = 0.2, version: int | None = None, positives: int = 5) -> Evidence:
    as_of = START + day * DAY
    known = {(START + n * DAY).date(): positives for n in range(day)}
    changed = (as_of - DAY).date()
    versions = {"fraud.labels": day if version is None else version}
    return Evidence(as_of, {"drift": drift}, changed, known, {"drift": ("amount",)}, versions)


def decided(home: Settings, found: Evidence, now: datetime = NOW, by: str = "run") -> RecordedDecision:
    return decisions.decide(home, FRAUD, decisions.record_evidence(home, FRAUD, found, now), by, now)


def retraining_command(*options: str) -> str:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["retraining", *options])
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_evidence_comes_back_as_it_was_kept(ledger_home: Settings) -> None:
    found = evidence(3, 1.4)
    digest = decisions.record_evidence(ledger_home, FRAUD, found, NOW)
    assert decisions.record_evidence(ledger_home, FRAUD, found, NOW + DAY) == digest
    kept = decisions.latest(ledger_home, FRAUD)
    assert kept is not None and kept[0] == digest
    assert replace(kept[1], named={"drift": ("amount",)}) == found and kept[1].alarms == ("drift",)


def test_people_read_why_and_why_not(ledger_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "load", lambda *_: ledger_home)
    assert "Nothing was decided about trainings of fraud yet" in retraining_command()
    first = decided(ledger_home, evidence(3), by="fraud_drift")
    decisions.record_result(ledger_home, first, NOW, 1, "trained [on] all rows")
    decided(ledger_home, evidence(5))
    rows = retraining_command("--last", "2").splitlines()
    asked_for = next(n for n, row in enumerate(rows) if "nothing was trained yet" in row)
    assert " yes " in rows[asked_for] and "-> version 1: trained [on] all rows" in rows[asked_for + 1], rows
    assert any(" no " in row and "no alarm" in row for row in rows), rows
    assert "[on]" not in retraining_command("--last", "1")


def test_the_table_of_decisions_fits_80_characters(ledger_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "load", lambda *_: ledger_home)
    result = " ".join(f"average precision since the change: {n}" for n in range(9))
    decisions.record_result(ledger_home, decided(ledger_home, evidence(3), by="fraud_drift"), NOW, 1, result)
    decided(ledger_home, evidence(29, 1.5, positives=30))
    lines = retraining_command().splitlines()
    assert max(map(len, lines)) <= 80 and all(word in " ".join(lines) for word in result.split())
    assert sum("2026-03-04 00:00" in line for line in lines) == 1, "a moment is on one line"
    assert "fraud_drift" not in retraining_command()
    detailed = retraining_command("--details")
    assert f"result      version 1: {result}" in detailed and "by          fraud_drift" in detailed


def test_the_same_evidence_is_decided_about_once_whoever_asks(ledger_home: Settings) -> None:
    first = decided(ledger_home, evidence(3), by="fraud_drift")
    again = decided(ledger_home, evidence(3), by="run", now=NOW + DAY)
    assert again == first and decisions.rows(ledger_home, FRAUD) == [first]
    other = decided(ledger_home, evidence(3, version=99))
    assert other.id != first.id


def test_every_decision_is_the_policys_on_what_was_decided_before(ledger_home: Settings) -> None:
    past: list[RetrainingDecision] = []
    for day in range(1, 60):
        found = evidence(day, 1.5 if day in (20, 21, 22) else 0.3)
        row = decided(ledger_home, found)
        assert row.decision == retrain_policy(found, past)
        past.append(row.decision)
        if row.open:
            decisions.record_result(ledger_home, row, NOW, day, "trained")
    reasons = [row.decision.trigger for row in decisions.rows(ledger_home, FRAUD) if row.decision.retrain]
    assert reasons[0] == "first" and "alarm" in reasons and reasons.count("first") == 1


def test_a_yes_stays_due_until_its_training_ended(ledger_home: Settings) -> None:
    row = decided(ledger_home, evidence(3))
    assert row.open and decisions.due(ledger_home, FRAUD, START + 3 * DAY, NOW) == row
    assert decisions.due(ledger_home, FRAUD, START + 2 * DAY, NOW) is None
    decisions.record_result(ledger_home, row, NOW, 1, "trained")
    decisions.record_result(ledger_home, row, NOW + DAY, 2, "another result of the same")
    [kept] = decisions.rows(ledger_home, FRAUD)
    assert (kept.model_version, kept.result, kept.open) == (1, "trained", False)
    assert decisions.due(ledger_home, FRAUD, START + 9 * DAY, NOW) is None


def test_a_training_under_way_counts_and_one_that_failed_does_not(ledger_home: Settings) -> None:
    assert decided(ledger_home, evidence(3)).decision.retrain
    soon = decided(ledger_home, evidence(3, version=7), now=NOW + timedelta(hours=1))
    assert not soon.decision.retrain
    late = decided(ledger_home, evidence(4), now=NOW + DAY)
    assert late.decision.retrain and late.decision.trigger == "first"


def test_a_training_that_was_killed_is_due_whatever_was_decided_since(ledger_home: Settings) -> None:
    killed = decided(ledger_home, evidence(3))
    renewed = decided(ledger_home, evidence(3, version=7), now=NOW + timedelta(minutes=5))
    assert not renewed.decision.retrain
    soon, late = NOW + timedelta(hours=1), NOW + timedelta(days=1)
    assert decisions.due(ledger_home, FRAUD, START + 3 * DAY, soon) == killed
    assert decisions.described(killed, soon)["result"] == "under way"
    # Long after it has failed, and the policy has decided anew.
    assert decisions.due(ledger_home, FRAUD, START + 3 * DAY, late) is None
    assert decisions.described(killed, late)["result"] == "left no result"
    again = decided(ledger_home, evidence(4), now=late)
    assert decisions.due(ledger_home, FRAUD, START + 4 * DAY, late) == again


def test_a_first_training_without_enough_to_learn_from_is_tried_again(ledger_home: Settings) -> None:
    row = decided(ledger_home, evidence(3))
    decisions.record_result(ledger_home, row, NOW, None, "the training window holds 2 positives")
    assert decided(ledger_home, evidence(4)).decision.trigger == "first"


def test_a_champion_that_held_is_not_challenged_again_at_once(ledger_home: Settings) -> None:
    decisions.record_result(ledger_home, decided(ledger_home, evidence(3)), NOW, 1, "trained")
    decided(ledger_home, evidence(29, 1.5, positives=30))
    alarm = decided(ledger_home, evidence(30, 1.5, positives=30))
    assert alarm.decision.trigger == "alarm"
    decisions.record_result(ledger_home, alarm, NOW, None, "no positives are known to compare on")
    assert not decided(ledger_home, evidence(31, 1.5, positives=30)).decision.retrain


def test_who_asks_gets_a_training_and_an_open_episode_goes_on(ledger_home: Settings) -> None:
    decisions.record_result(ledger_home, decided(ledger_home, evidence(3)), NOW, 1, "trained")
    decided(ledger_home, evidence(29, 1.5, positives=30))
    alarm = decided(ledger_home, evidence(30, 1.5, positives=30))
    decisions.record_result(ledger_home, alarm, NOW, 2, "trained")
    asked = decisions.record_request(ledger_home, FRAUD, START + 31 * DAY, "anna", NOW)
    assert asked.open and asked.decision.trigger == "asked" and asked.decision.episode == alarm.decision.episode
    assert decisions.due(ledger_home, FRAUD, START + 31 * DAY, NOW) == asked
    decisions.record_result(ledger_home, asked, NOW, 3, "trained")
    after = decided(ledger_home, evidence(32, positives=30))
    assert after.decision.episode == alarm.decision.episode and not after.decision.retrain


def test_an_old_night_built_again_trains_nothing(ledger_home: Settings) -> None:
    decisions.record_result(ledger_home, decided(ledger_home, evidence(30)), NOW, 1, "trained")
    old = decided(ledger_home, evidence(5, 1.5))
    assert not old.decision.retrain and "decided as of 2026-03-31 00:00 already" in old.decision.reason
    assert decisions.due(ledger_home, FRAUD, START + 5 * DAY, NOW) is None
    [first, _] = decisions.rows(ledger_home, FRAUD)
    alarming = evidence(31, 1.5, positives=30)
    assert decided(ledger_home, alarming).decision == retrain_policy(alarming, [first.decision])


def test_a_clock_that_was_wrong_stops_nobody(ledger_home: Settings) -> None:
    ahead = replace(evidence(3), as_of=NOW + 400 * DAY)
    decisions.record_result(ledger_home, decided(ledger_home, ahead), NOW, 1, "trained")
    assert decided(ledger_home, evidence(30)).decision.trigger == "first"


def test_without_the_ledger_nothing_is_decided(tmp_path: Path) -> None:
    gone = settings.load({"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_LEDGER": "postgresql://nobody@127.0.0.1:9/none"})
    for ask in (lambda: decisions.record_evidence(gone, FRAUD, evidence(3), NOW), lambda: decisions.rows(gone, FRAUD)):
        with pytest.raises(LedgerUnreachable):
            ask()


def test_unknown_evidence_is_not_decided_about(ledger_home: Settings) -> None:
    with pytest.raises(ValueError, match=r"expected evidence abc, found none in the ledger"):
        decisions.decide(ledger_home, FRAUD, "abc", "run", NOW)
    assert decisions.rows(ledger_home, FRAUD) == []


def _decide_often(home: Settings, digests: list[str], by: str) -> None:
    for digest in digests:
        decisions.decide(home, FRAUD, digest, by, NOW)


def test_sensors_at_the_same_time_decide_once(ledger_home: Settings) -> None:
    digests = [decisions.record_evidence(ledger_home, FRAUD, evidence(day), NOW) for day in range(3, 11)]
    context = multiprocessing.get_context("spawn")
    asking = [context.Process(target=_decide_often, args=(ledger_home, digests, by)) for by in ("one", "two")]
    for process in asking:
        process.start()
    for process in asking:
        process.join()
    assert [process.exitcode for process in asking] == [0, 0]
    rows = decisions.rows(ledger_home, FRAUD)
    assert sorted(row.digest for row in rows) == sorted(digests)
    assert sum(row.decision.trigger == "first" for row in rows) == 1
