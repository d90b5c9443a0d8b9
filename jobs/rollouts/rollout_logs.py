"""What the decision log says of all rollouts that go on, read on from look to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.decisions.log_tail import LogTail
from jobs.ledger.rollouts import Rollout
from jobs.rollouts.logged import Logged
from jobs.settings import Settings
from jobs.use_case import UseCase


class RolloutLogs:
    """Of one use case. Whoever looks once makes one and lets it go; whoever looks again and again keeps it."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self._use_case, self._tail = use_case, LogTail(settings, use_case)
        self._logged: dict[int, Logged] = {}

    def close(self) -> None:
        """Let go of the log."""
        self._tail.close()

    def read(self, live: Sequence[Rollout]) -> Mapping[int, Logged]:
        """What the log has by now of these rollouts, by their ids; what it had of others is forgotten.

        Raises StoreDown (an OSError) if a store does not answer; what is left unread is read by the next look.
        """
        if any(each.id not in self._logged and each.log_stamp < self._tail.stamp for each in live):
            self._logged = {}
            self._tail.rewind()
        self._logged = {each.id: self._logged.get(each.id) or Logged(self._use_case, each) for each in live}
        if live:
            self._read()
        for each in live:
            self._logged[each.id].close(each)
        return self._logged

    def _read(self) -> None:
        for record in self._tail.records():
            for logged in self._logged.values():
                logged.add([record])
            self._tail.took(record)
