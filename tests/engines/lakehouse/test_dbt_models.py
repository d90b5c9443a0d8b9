"""dbt runs in this process, and leaves nothing behind in it."""

import threading
from pathlib import Path

import psutil
import pytest

from jobs import settings
from jobs.lakehouse import dbt_models
from jobs.lakehouse.tables import Lakehouse
from jobs.state_files import file_lock
from jobs.use_cases.fraud import FRAUD


@pytest.mark.usefixtures("dbt_parses")
def test_a_parsed_project_leaves_no_open_log(tmp_path: Path) -> None:
    home = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    assert dbt_models.manifest(home).exists()
    assert (tmp_path / "dbt" / "parse" / "dbt.log").exists()
    assert not [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]


def test_a_project_is_parsed_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Who waited for another's parsing takes what that one left."""
    home = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    parsed = tmp_path / "dbt" / f"manifest-{dbt_models.fingerprint(home.dbt_project)}.json"
    found: list[Path] = []
    second = threading.Thread(target=lambda: found.append(dbt_models.manifest(home)), daemon=True)
    with file_lock(tmp_path / "locks" / "dbt_parse.lock"):
        second.start()
        second.join(1)
        parsed.parent.mkdir(exist_ok=True)
        parsed.write_text("{}")
    second.join(60)
    assert found == [parsed]
    assert [path.name for path in parsed.parent.iterdir()] == [parsed.name]


@pytest.mark.embedded
def test_the_end_of_a_build_leaves_what_other_use_cases_merge(lakehouse: Lakehouse) -> None:
    """Nights of all use cases begin at the same hour."""
    scratch = Path(lakehouse.warehouse) / dbt_models.SCRATCH
    for use_case in ("fraud", "returns"):
        (scratch / use_case / "rows").mkdir(parents=True)
    with dbt_models.session(lakehouse, FRAUD):
        pass
    assert [path.name for path in scratch.iterdir()] == ["returns"]
