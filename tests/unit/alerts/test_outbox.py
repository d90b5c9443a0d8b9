"""Alerts are told once while a condition lasts, on SQLite and a real PostgreSQL; killed and at once in tests/faults."""

import logging
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from jobs.alerts import outbox
from jobs.alerts.outbox import Alert
from jobs.ledger.database import LedgerUnreachable, transaction
from jobs.secret import Secret, Url, WebhookUrl
from jobs.settings import Settings

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
DRIFT = Alert("fraud", "drift", "tx_amount", "PSI .02 was expected, .4 found: look at the source.", "warning", NOW)


@pytest.fixture
def webhook_home(ledger_home: Settings, receiver: Any) -> Settings:
    return replace(ledger_home, alert_webhook=WebhookUrl(receiver.url))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "not delivered" not in record.getMessage()]


def test_without_configuration_an_alert_goes_to_the_log_alone(
    ledger_home: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert outbox.send(ledger_home, DRIFT, NOW)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("evergreen.alerts", logging.WARNING)
    assert record.getMessage() == f"warning: fraud drift, tx_amount: {DRIFT.message}"


def test_while_it_lasts_it_is_told_once(webhook_home: Settings, receiver: Any, caplog: Any) -> None:
    assert outbox.send(webhook_home, DRIFT, NOW)
    restarted = replace(webhook_home)
    for minutes in range(5, 50, 5):
        again = replace(DRIFT, message="other numbers", as_of=NOW + minutes * MINUTE)
        assert not outbox.send(restarted, again, NOW + minutes * MINUTE)
    assert len(receiver.posts) == 1 and len(said(caplog)) == 1


@pytest.mark.parametrize("other", [{"use_case": "returns"}, {"kind": "performance"}, {"subject": "hour"}])
def test_another_condition_is_told_too(webhook_home: Settings, receiver: Any, other: dict[str, str]) -> None:
    outbox.send(webhook_home, DRIFT, NOW)
    assert outbox.send(webhook_home, replace(DRIFT, **other), NOW)  # type: ignore[arg-type]
    assert len(receiver.posts) == 2 and receiver.posts[0]["key"] != receiver.posts[1]["key"]


def test_resolved_and_back_again_it_is_told_again(webhook_home: Settings, receiver: Any) -> None:
    outbox.send(webhook_home, DRIFT, NOW)
    assert outbox.resolve(webhook_home, "fraud", "drift", "tx_amount", NOW + MINUTE)
    assert not outbox.resolve(webhook_home, "fraud", "drift", "tx_amount", NOW + MINUTE)
    assert outbox.recorded(webhook_home) == [] and len(receiver.posts) == 1
    assert outbox.send(webhook_home, DRIFT, NOW + 2 * MINUTE)
    assert len({post["key"] for post in receiver.posts}) == 2
    assert [t.resolved_at for t in outbox.recorded(webhook_home, resolved=True)] == [NOW + MINUTE, None]


def test_after_a_week_it_is_told_again_and_says_so(webhook_home: Settings, receiver: Any) -> None:
    times = [NOW + hours * timedelta(hours=1) for hours in range(0, 15 * 24, 12)]
    assert [t for t in times if outbox.send(webhook_home, replace(DRIFT, as_of=t), t)] == [
        NOW, NOW + 7 * DAY, NOW + 14 * DAY,
    ]  # fmt: skip
    assert [post["reminder"] for post in receiver.posts] == [0, 1, 2]
    assert "(still)" in receiver.posts[1]["text"] and receiver.posts[2]["as_of"] == (NOW + 14 * DAY).isoformat()


def test_what_became_worse_is_told_again_and_what_became_milder_is_not(webhook_home: Settings, receiver: Any) -> None:
    assert outbox.send(webhook_home, DRIFT, NOW)
    assert outbox.send(webhook_home, replace(DRIFT, severity="error"), NOW)
    assert not outbox.send(webhook_home, DRIFT, NOW)
    assert [post["severity"] for post in receiver.posts] == ["warning", "error"]


def test_below_the_threshold_only_the_log_tells(webhook_home: Settings, receiver: Any, caplog: Any) -> None:
    picky = replace(webhook_home, alert_severity="error")
    outbox.send(picky, DRIFT, NOW)
    outbox.send(picky, replace(DRIFT, kind="run_failed", severity="error"), NOW)
    assert [post["kind"] for post in receiver.posts] == ["run_failed"] and len(said(caplog)) == 2


def test_a_receiver_that_is_down_gets_it_once_when_it_is_up(webhook_home: Settings, receiver: Any, caplog: Any) -> None:
    receiver.status = 503
    assert outbox.send(webhook_home, DRIFT, NOW)
    assert not outbox.send(webhook_home, DRIFT, NOW + MINUTE)
    [waiting] = outbox.recorded(webhook_home)
    assert waiting.waiting == {"webhook": "RuntimeError: 127.0.0.1 answered 503 Service Unavailable"}
    receiver.status = 200
    assert outbox.flush(webhook_home, NOW + 5 * MINUTE) == 1
    assert outbox.flush(webhook_home, NOW + DAY) == 0
    assert len(receiver.posts) == 1 and len(said(caplog)) == 1
    assert outbox.recorded(webhook_home)[0].waiting == {}


def test_a_receiver_that_is_down_is_asked_once_per_call_however_much_waits(
    webhook_home: Settings, receiver: Any, caplog: Any
) -> None:
    receiver.status = 500
    for number in range(4):
        caplog.clear()
        outbox.send(webhook_home, replace(DRIFT, subject=f"f{number}"), NOW)
        assert sum("not delivered" in record.getMessage() for record in caplog.records) == 1
    receiver.status = 200
    assert outbox.flush(webhook_home, NOW) == 4
    assert sorted(post["subject"] for post in receiver.posts) == ["f0", "f1", "f2", "f3"]


def test_while_one_delivers_nobody_else_does(webhook_home: Settings, receiver: Any) -> None:
    others: list[int] = []
    receiver.meanwhile = lambda: others.append(outbox.flush(webhook_home, NOW + MINUTE))
    outbox.send(webhook_home, DRIFT, NOW)
    assert others == [0] and len(receiver.posts) == 1


def test_what_was_resolved_before_it_could_be_told_says_so(webhook_home: Settings, receiver: Any) -> None:
    receiver.status = 500
    outbox.send(webhook_home, DRIFT, NOW)
    outbox.resolve(webhook_home, "fraud", "drift", "tx_amount", NOW + MINUTE)
    receiver.status = 200
    assert outbox.flush(webhook_home, NOW + 2 * MINUTE) == 1
    assert receiver.posts[0]["resolved_at"] and "(resolved meanwhile)" in receiver.posts[0]["text"]


def test_a_reminder_takes_the_place_of_what_never_got_through(webhook_home: Settings, receiver: Any) -> None:
    receiver.status = 500
    outbox.send(webhook_home, DRIFT, NOW)
    receiver.status = 200
    outbox.send(webhook_home, DRIFT, NOW + 8 * DAY)
    assert [post["reminder"] for post in receiver.posts] == [1]


def test_a_clock_that_went_backwards_neither_repeats_nor_blocks(webhook_home: Settings, receiver: Any) -> None:
    outbox.send(webhook_home, DRIFT, NOW)
    assert not outbox.send(webhook_home, DRIFT, NOW - 30 * DAY)
    assert outbox.send(webhook_home, replace(DRIFT, subject="hour"), NOW - 30 * DAY)
    assert len(receiver.posts) == 2


def test_settling_tells_what_is_new_and_resolves_what_is_over(webhook_home: Settings, receiver: Any) -> None:
    first, second, third = (replace(DRIFT, subject=subject) for subject in "abc")
    other = replace(DRIFT, kind="performance")
    outbox.send(webhook_home, other, NOW)
    assert outbox.settle(webhook_home, "fraud", "drift", [first, second], NOW) == (2, 0)
    assert outbox.settle(webhook_home, "fraud", "drift", [second, third], NOW) == (1, 1)
    assert outbox.open_subjects(webhook_home, "fraud", "drift") == ["b", "c"]
    assert outbox.settle(webhook_home, "fraud", "drift", [], NOW) == (0, 2)
    assert [t.alert.kind for t in outbox.recorded(webhook_home)] == ["performance"]


def test_no_password_leaves_the_house(ledger_home: Settings, receiver: Any, caplog: Any) -> None:
    settings = replace(
        ledger_home,
        alert_webhook=WebhookUrl(receiver.url),
        alert_webhook_secret=Secret("hush-hush"),
        alert_email=Url("smtp://bot:p%40ssw0rd@127.0.0.1:1/?from=a@b.org&to=c@d.org"),
        tracking=Url("postgresql://mlflow:tr4cking@db/mlflow"),
    )
    told = "cannot reach postgresql://eve:s3cret@db/x with hush-hush, p@ssw0rd, p%40ssw0rd or tr4cking"
    alert = replace(DRIFT, message=told, subject=told, evidence={"url": told, "inner": [{told: told}]})
    outbox.send(settings, alert, NOW)
    everything = repr([receiver.posts, caplog.text, outbox.recorded(settings), settings])
    found = [word for word in ("s3cret", "hush", "ssw0rd") if word in everything]
    assert not found and "tr4cking" not in repr([receiver.posts, caplog.text, outbox.recorded(settings)])
    assert receiver.posts[0]["said"] == "cannot reach postgresql://eve:***@db/x with ***, ***, *** or ***"


def test_any_evidence_can_be_told(webhook_home: Settings, receiver: Any) -> None:
    evidence: dict[Any, Any] = {
        "not a number": math.nan, "array": np.array([1.5, math.inf]), "day": NOW.date(), "set": {1}, "n": np.int64(3),
        "nul\x00 and half a pair \ud800": b"bytes", 7: None, "yes": np.bool_(True),
    }  # fmt: skip
    outbox.send(webhook_home, replace(DRIFT, message="nul \x00, \ud800", evidence=evidence), NOW)
    assert receiver.posts[0]["evidence"] == {
        "not a number": "nan", "array": [1.5, "inf"], "day": "2026-11-22", "set": [1], "n": 3,
        "nul and half a pair ?": "b'bytes'", "7": None, "yes": True,
    }  # fmt: skip


def test_a_subject_of_any_length_is_one_condition(ledger_home: Settings) -> None:
    long = replace(DRIFT, subject="x\n" * 5000)
    assert outbox.send(ledger_home, long, NOW) and not outbox.send(ledger_home, long, NOW)
    assert outbox.resolve(ledger_home, "fraud", "drift", long.subject, NOW)


def test_an_alert_of_an_older_home_is_still_there(ledger_home: Settings) -> None:
    outbox.recorded(ledger_home)  # makes the tables
    columns = "use_case, kind, subject, said, severity, as_of, evidence, raised_at, told_at, tellings"
    moment = "2026-11-21T06:00:00.000000+00:00"
    with transaction(ledger_home) as connection:
        connection.exec_driver_sql(
            f"insert into alerts ({columns}) values ('fraud', 'drift', 'tx_amount', 'Look.', 'warning', '{moment}', "
            f"'{{}}', '{moment}', '{moment}', 2)"
        )
    [old] = outbox.recorded(ledger_home)
    assert (old.alert.message, old.notified_at, old.notifications) == ("Look.", NOW - DAY, 2)
    assert not outbox.send(ledger_home, DRIFT, NOW) and outbox.send(ledger_home, DRIFT, NOW + 7 * DAY)
    assert outbox.recorded(ledger_home)[0].notifications == 3


def test_a_moment_without_a_zone_is_refused(ledger_home: Settings) -> None:
    with pytest.raises(ValueError, match="expected moments with a zone"):
        outbox.send(ledger_home, DRIFT, NOW.replace(tzinfo=None))


def test_without_its_database_nothing_is_told_and_the_caller_knows(ledger_home: Settings, receiver: Any) -> None:
    gone = replace(
        ledger_home, ledger_url=Url("postgresql://eve@127.0.0.1:1/x"), alert_webhook=WebhookUrl(receiver.url)
    )
    with pytest.raises(LedgerUnreachable):
        outbox.send(gone, DRIFT, NOW)
    assert receiver.posts == []
