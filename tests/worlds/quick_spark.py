"""`evergreen` with shorter waits for Spark, and by the code of a home as it is when it starts."""

from __future__ import annotations

import sys

from worlds import changed_declarations

from jobs.settings import ROOT
from jobs.spark_streams import queries
from jobs.streams import process

PROGRAM = (
    sys.executable, "-c",
    f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import worlds.quick_spark as w; w.main()",
)  # fmt: skip


def main() -> None:
    """The command line."""
    queries.TRIGGER, process.FEATURES_SECONDS = "2 seconds", 1.0
    changed_declarations.main()
