"""Points that tests draw: the same for everybody, others in each run of CI, and the same again for the same seed."""

import os
import random

SEED = os.environ.get("EVERGREEN_TEST_SEED", "14")
"""pytest prints it above its results; set EVERGREEN_TEST_SEED to repeat a run, or to try other points."""

POINTS = int(os.environ.get("EVERGREEN_TEST_POINTS", "1"))
"""How often tests of streams do each harm, at a point drawn anew."""


def drawn(purpose: str) -> random.Random:
    """A generator of its own for each purpose, so that one test's draws do not move another's."""
    return random.Random(f"{SEED} {purpose}")
