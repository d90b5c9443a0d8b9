"""Resources made from settings: the lakehouse, dbt, the clock at the boundary."""

from typing import Any

from dagster_dbt import DbtCliResource

from assets.raw import utc_now
from jobs.lakehouse import attach
from jobs.settings import Settings


def build(settings: Settings) -> dict[str, Any]:
    """All resources, keyed as the assets ask for them."""
    target = settings.home / "dbt" / "target"
    target.mkdir(parents=True, exist_ok=True)
    return {
        "lakehouse": attach(settings),
        "now": utc_now(),
        "dbt": DbtCliResource(
            project_dir=str(settings.dbt_project),
            profiles_dir=str(settings.dbt_project),
            global_config_flags=["--no-use-colors"],
        ),
    }
