"""How a command's process ends."""

import atexit
import os
import sys
from typing import NoReturn


def end_at_once(status: int) -> NoReturn:
    """End with this exit status: to take apart all that a run imported takes seconds, in which torch complains."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
