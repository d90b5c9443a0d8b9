"""What dbt makes of our project, parsed once for all homes of a test session: each new home takes it four seconds."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from worlds.shared import built_once

from jobs.lakehouse import dbt_models
from jobs.settings import ROOT, Settings

Parse = Callable[[Settings, Path], None]
PARSE: Parse = dbt_models._parse


def copying(folder: Path) -> Parse:
    """Parses as PARSE does, in `folder` and only once, unless the project is a test's own."""

    def parse(settings: Settings, parsed: Path) -> None:
        if settings.dbt_project != ROOT / "dbt_project":
            PARSE(settings, parsed)
            return
        made = built_once(folder, lambda built: PARSE(replace(settings, home=built), built / parsed.name))
        parsed.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".msgpack", ".json"):
            shutil.copy(made / f"{parsed.stem}{suffix}", parsed.with_suffix(suffix))

    return parse
