"""Resources made from settings: the lakehouse, the model registry, the clock at the boundary."""

from typing import Any

from assets.raw import utc_now
from jobs import registry
from jobs.champions import Champions
from jobs.lakehouse import attach
from jobs.settings import Settings


def build(settings: Settings) -> dict[str, Any]:
    """All resources, keyed as the assets ask for them."""
    known = {"champions": Champions(settings), "registry": registry}
    return {"lakehouse": attach(settings), "now": utc_now(), **known}
