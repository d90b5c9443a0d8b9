"""Drop what nobody asks for any more from the beginning of a log in a file, while nobody has it open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from jobs import unfinished
from jobs.online.file_log import FileLog
from jobs.online.log_records import HEADER, Record, line_of


def trim(path: Path, before: int, most: int, keep: Callable[[Record], bool], moved: Callable[[int], None]) -> int:
    """Drop the records that are stamped before a moment and end at `most` or before it, but for those to keep.

    Args:
        moved: told by how many bytes everything behind them is about to move; called before it does, so that whoever
            remembers a position reads some records again after a death, and skips none.

    Returns the number of bytes that the file is shorter.
    """
    kept, cut = [], len(HEADER)
    with FileLog(path) as log:
        for record in log.records():
            if record.stamp >= before or record.end > most:
                break
            cut = record.end
            if keep(record):
                kept.append(line_of(record.stamp, record.id, record.content))
    removed = cut - len(HEADER) - sum(map(len, kept))
    if removed <= 0:
        return 0
    with unfinished.file_beside(path, 0o600) as temporary:
        with path.open("rb") as old, temporary.open("wb") as new:
            new.writelines([HEADER, *kept])
            old.seek(cut)
            shutil.copyfileobj(old, new)
        moved(removed)
        temporary.replace(path)
    return removed
