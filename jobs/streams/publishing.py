"""Features into the online store as soon as they are computed: of each entity the newest row of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.feature_store.online_writes import OnlineWriter
from jobs.lakehouse.tables import Lakehouse
from jobs.streams.feature_tables import table_of
from jobs.streams.features import Computed
from jobs.use_case import UseCase


class Publisher:
    """What is computed, to whoever asks the online store."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        self._lakehouse, self._use_case = lakehouse, use_case
        self._writer: OnlineWriter | None = None

    def __call__(self, computed: Sequence[Computed]) -> None:
        if self._writer is None:
            self._writer = OnlineWriter(self._lakehouse, self._use_case)
        for number, windows in enumerate(self._use_case.windows):
            newest = _newest(computed, number)
            if newest:
                self._writer.write(windows.name, table_of(self._use_case, self._lakehouse, number, newest))


def _newest(computed: Sequence[Computed], number: int) -> list[Computed]:
    """The last of each entity; those of no entity are left out."""
    last: dict[tuple[Any, ...], Computed] = {each.entities[number]: each for each in computed}
    return [each for key, each in last.items() if None not in key]
