"""How long Python itself keeps a process from answering within milliseconds: by its collector and its threads."""

from __future__ import annotations

import gc
import sys

_SWITCH_SECONDS = 0.0005


def spare_the_collector() -> None:
    """Let the garbage collector leave alone what is there now, and look seldom at the rest.

    Decisions, and features of a stream, make no cycles to speak of. A look at a million objects that became warm since
    takes 300 milliseconds, in which nobody is answered, so looks are at 50,000 at most.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 1_000)


def share_quickly() -> None:
    """Let a thread that works in small parts go on soon beside one that works in the background.

    Each part that leaves the interpreter waits for it again, by default 5 milliseconds: of a hundred such parts, beside
    a commit, half a second.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
