"""Reading on in the log of a use case, for whoever looks at it again and again: each record once, wherever it lies.

The log stays open, since opening one in a file reads it whole. One whose beginning was trimmed is opened anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs.decisions.opened import log_file, open_log, was_served
from jobs.online.log_records import Log, Record
from jobs.settings import Settings
from jobs.use_case import UseCase


class LogTail:
    """What the log has behind the record that was taken last."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self._settings, self._use_case = settings, use_case
        self._log: Log | None = None
        self._file = 0
        """What tells the log's file from one that was put in its place."""
        self._end = self.stamp = 0
        """Behind the last record that was taken, and its stamp."""

    def close(self) -> None:
        """Let go of the log; what was taken stays taken."""
        if self._log is not None:
            self._log.close()
        self._log, self._file = None, 0

    def rewind(self) -> None:
        """Take every record once more."""
        self._end = self.stamp = 0

    def opened(self) -> Log | None:
        """The log as it is now; None while nothing was decided. Raises StoreDown if a store does not answer."""
        if not was_served(self._settings, self._use_case):
            return None
        path = log_file(self._settings, self._use_case)
        file = 0 if self._settings.online_store_url else path.stat().st_ino
        if self._log is None or file != self._file:
            self.close()
            self._log, self._file = open_log(self._settings, self._use_case), file
            self._end = 0
        return self._log

    def records(self) -> Iterator[Record]:
        """The records behind the last one that was taken, in order; each stays new until it is taken (`took`)."""
        log = self.opened()
        if log is None:
            return
        log.tail()  # a log in a file reads on then alone
        for record in log.records(self._end):
            if record.stamp > self.stamp:
                yield record
            else:  # of a log that was opened anew
                self._end = record.end

    def took(self, record: Record) -> None:
        """Read on behind this record."""
        self._end, self.stamp = record.end, record.stamp
