"""Resources made from settings: the lakehouse, dbt, the clock at the boundary."""

import sys
from pathlib import Path
from typing import Any

from dagster_dbt import DbtCliResource

from assets.raw import utc_now
from jobs.lakehouse import attach
from jobs.settings import Settings


def build(settings: Settings) -> dict[str, Any]:
    """All resources, keyed as the assets ask for them."""
    return {
        "lakehouse": attach(settings),
        "now": utc_now(),
        "dbt": DbtCliResource(
            project_dir=str(settings.dbt_project),
            profiles_dir=str(settings.dbt_project),
            dbt_executable=str(Path(sys.executable).with_name("dbt")),
            global_config_flags=["--no-use-colors"],
        ),
    }
