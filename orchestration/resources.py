"""Resources made from settings: the lakehouse, dbt, the clock at the boundary."""

import sys
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from dagster_dbt import DbtCliResource
from packaging.version import Version

from assets.raw import utc_now
from jobs.lakehouse import attach
from jobs.settings import Settings


class Dbt(DbtCliResource):
    """DbtCliResource that asks the installed package for dbt's version; the original starts dbt for it, seconds."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))


def build(settings: Settings) -> dict[str, Any]:
    """All resources, keyed as the assets ask for them."""
    return {
        "lakehouse": attach(settings),
        "now": utc_now(),
        "dbt": Dbt(
            project_dir=str(settings.dbt_project),
            profiles_dir=str(settings.dbt_project),
            dbt_executable=str(Path(sys.executable).with_name("dbt")),
            global_config_flags=["--no-use-colors"],
        ),
    }
