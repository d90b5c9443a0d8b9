"""Where a declaration stands: file and line of the call that made a value, for links from what is made of it."""

from __future__ import annotations

import dataclasses
import sys
from typing import NamedTuple


class Place(NamedTuple):
    """A line of a file."""

    file: str
    line: int


def place_of_caller(*own: str) -> Place:
    """The place from which a dataclass was called whose `__post_init__` asks.

    Args:
        own: files that are passed over, such as that of the dataclass.
    """
    skipped = {"<string>", dataclasses.__file__, __file__, *own}
    frame = sys._getframe(1)
    while frame.f_code.co_filename in skipped and frame.f_back is not None:
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)
