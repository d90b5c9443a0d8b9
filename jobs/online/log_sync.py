"""Bring what was written to the disk, for many records at once: a power cut costs at most the last few milliseconds.

The death of a process costs nothing, as the kernel has what was written.
"""

import os
import threading


class GroupSync:
    """A thread that syncs a file some time after something was written to it."""

    def __init__(self, handle: int, seconds: float) -> None:
        self._handle, self._seconds = handle, seconds
        self._due, self._closed = threading.Event(), threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="log sync", daemon=True)
        self._thread.start()

    def due(self) -> None:
        """Something was written; raises OSError if an earlier sync failed, as the kernel then forgets what it held."""
        if self._error is not None:
            raise self._error
        if not self._due.is_set():
            self._due.set()

    def close(self) -> None:
        """Sync once more and end; raises OSError if that failed."""
        self._closed.set()
        self._due.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while self._error is None and not self._closed.is_set():
            self._due.wait()
            self._closed.wait(self._seconds)
            self._due.clear()
            try:
                os.fdatasync(self._handle)
            except OSError as error:
                self._error = error
