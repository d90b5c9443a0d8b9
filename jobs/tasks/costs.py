"""What decisions cost by a declared matrix of costs (`jobs.objective.cost_matrix`)."""

from collections.abc import Sequence

import numpy as np

from jobs.arrays import Floats, Ints
from jobs.objective import Objective
from jobs.stats import losses


def cost_of(objective: Objective, classes: Sequence[str], labels: Ints, probabilities: Floats) -> Floats:
    """Cost of each row's decision: the one that is expected to cost least; shape (rows,).

    Args:
        classes: names, in the order of the columns of `probabilities`.
        labels: places among them.
    """
    costs = matrix(objective, classes)
    paid: Floats = costs[labels, losses.cheapest(probabilities, costs)]
    return paid


def matrix(objective: Objective, classes: Sequence[str]) -> Floats:
    """Shape (classes, classes): of what is true, and what is decided. Classes that do not occur are left out."""
    place = {name: n for n, name in enumerate(classes)}
    costs = np.zeros((len(classes), len(classes)))
    for true, chosen, cost in objective.costs:
        if true in place and chosen in place:
            costs[place[true], place[chosen]] = cost
    return costs
