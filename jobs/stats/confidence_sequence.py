"""How sure each of many looks at the same growing data has to be, so that together they err as rarely as asked.

Looks of `jobs.stats.alpha_spending` are of any data; these are of a sum that only grows, so that they mostly repeat
each other, and endlessly many cost little more than one.
"""

import math
from statistics import NormalDist

from jobs.errors import Invalid

TIGHTEST = 8.0
"""Multiple of the mixture's own information at which a level is about lowest for alpha of .01 to .05."""


def level(information: float, least: float, alpha: float) -> float:
    """One-sided confidence that is asked of a look at so much information.

    The one-sided normal mixture boundary (Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 49, 2021, equation
    14), for sums of independent parts that are about normal. The chance that it is ever crossed by equals is at most
    alpha, however many looks there are.

    Args:
        information: of the look, such as the number of positives; what grows with the inverse of a squared error.
        least: information of the first look, for which the boundary is made tight.

    Raises:
        ValueError: information below `least`, or an alpha outside (0, 1).
    """
    if not (0 < least <= information and 0 < alpha < 1):
        raise Invalid(
            f"level: expected information of at least {least} and an alpha in (0, 1), found {information} and {alpha}; "
            "wait for more, and declare what may be spent"
        )
    ratio = TIGHTEST * information / least
    bound = math.sqrt(2 * (1 + 1 / ratio) * math.log(math.sqrt(1 + ratio) / (2 * alpha) + 1))
    return NormalDist().cdf(bound)
