"""What `evergreen features` prints of one customer."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from deltalake import write_deltalake

from jobs.use_cases.fraud import CUSTOMER_WINDOWS
from orchestration.cli import main

MOMENT = datetime(2026, 5, 1, 14, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    return tmp_path


def features(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, ["features", *words])


def test_each_feature_is_a_line_with_value_and_meaning(home: Path) -> None:
    types = {feature.name: feature.type for feature in CUSTOMER_WINDOWS.features}
    row: dict[str, object] = {name: 1234567 if pa.types.is_integer(kind) else None for name, kind in types.items()}
    row |= {"transaction_id": 17, "customer_id": 7, "event_date": date(2026, 5, 1)}
    row |= {"event_timestamp": MOMENT, "created_timestamp": MOMENT}
    table = pa.Table.from_pylist([row], CUSTOMER_WINDOWS.schema())
    write_deltalake(f"{home}/warehouse/fraud_features/customer_windows", table, partition_by=["event_date"])
    result = features("7")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80 and "event 17 of 2026-05-01 14:02 UTC" in " ".join(result.output.split())
    for feature in CUSTOMER_WINDOWS.features:
        assert any(line.split()[:1] == [feature.name] for line in lines), feature.name
    [count] = [number for number, line in enumerate(lines) if "customer_tx_count_1h" in line]
    assert "1,234,567" in lines[count] and "in the hour up to this one" in " ".join(lines[count + 1 : count + 3])
    told = json.loads(features("7", "--json").stdout)
    assert [value["feature"] for value in told] == list(CUSTOMER_WINDOWS.names)
    assert told[0]["event_timestamp"] == MOMENT.isoformat() and told[0]["value"] == 1234567
    assert not (home / "engine").exists()


def test_a_customer_without_events_is_told_in_a_sentence() -> None:
    result = features("7", "--as-of", "2026-05-01")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    assert "No event of customer_id 7 was known as of 2026-05-01 00:00 UTC" in result.stdout
    assert json.loads(features("7", "--json").stdout) == []


def test_another_entity_is_refused_with_the_names_that_there_are() -> None:
    result = features("7", "--entity", "shop")
    assert result.exit_code == 1
    assert "expected customer_id or terminal_id or customer_id,terminal_id, found 'shop'" in result.stderr
