"""A project of one's own at the start of a process: its folders are put together, and what is broken in it is told."""

from __future__ import annotations

import os

from jobs import settings as settings_module
from jobs.settings import PROJECT_VARIABLE, Settings
from orchestration.printing import complain


def enter(settings: Settings) -> None:
    """Let this process and those that it starts work in the project that one is in, wherever they run.

    Raises Invalid if the home is another project's, or a project's where one is in none.
    """
    if settings.project is None:
        from jobs.projects import home_owner

        home_owner.expect_none(settings)
        return
    from jobs.projects import assembly
    from jobs.use_cases.catalog import BROKEN, BUILT_IN, USE_CASES

    os.environ[PROJECT_VARIABLE] = str(settings.project)
    for place, why in BROKEN.items():
        complain(f"{place} is left out: {why}")
    assembly.assemble(settings, settings_module.project(), USE_CASES, BUILT_IN)
