"""dbt runs in this process, and leaves nothing behind in it."""

from pathlib import Path

import psutil

from jobs import settings
from jobs.lakehouse import dbt_models


def test_a_parsed_project_leaves_no_open_log(tmp_path: Path) -> None:
    home = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    assert dbt_models.manifest(home).exists()
    assert (tmp_path / "dbt" / "parse" / "dbt.log").exists()
    assert not [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]
