"""Types of arrays, and runs, codes and ranks of their values: the words of every room that computes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.errors import Invalid

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
"""What graphs take: features as [rows, features], missing as NaN."""
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def codes(name: str, values: ArrayLike, rows: int) -> tuple[NDArray[Any], Ints]:
    """The distinct values, sorted, and the place of each row's value among them.

    Raises:
        ValueError: not one value per row, or nulls.
    """
    keys = np.asarray(values)
    # A null is None, NaN or NaT: the first cannot be sorted with others, the others differ from themselves.
    if keys.shape != (rows,) or (keys.dtype == object and None in keys) or (keys != keys).any():
        raise Invalid(f"{name}: expected {rows} values without nulls, found shape {keys.shape} or nulls; fill them")
    distinct, codes = np.unique(keys, return_inverse=True)
    return distinct, codes


def starts_of_runs(ordered: NDArray[Any]) -> Bools:
    """Whether each value differs from the one before it; the first does."""
    return np.append(np.ones(min(len(ordered), 1), dtype=bool), ordered[1:] != ordered[:-1])


def ends_of_runs(ordered: NDArray[Any]) -> Ints:
    """How many values there are up to the last of each run of equal ones."""
    return np.append(np.flatnonzero(starts_of_runs(ordered))[1:], len(ordered))


def ranks(features: NDArray[np.float32]) -> Floats:
    """Place from 0 of each row, shape (rows,), sorted by the columns in order; equal rows equal, missing first."""
    values = np.nan_to_num(features.astype(np.float64), nan=-np.inf)
    order = np.lexsort(values.T[::-1])
    new = np.logical_or.reduce([starts_of_runs(column[order]) for column in values.T])
    places = np.empty(len(order))
    places[order] = np.cumsum(new) - 1
    return places


def first_known(columns: NDArray[np.float32]) -> Floats:
    """The first value of each row that is not NaN, shape (rows,); NaN where all are."""
    first = np.argmax(~np.isnan(columns), axis=1)
    values: Floats = columns[np.arange(len(columns)), first].astype(np.float64)
    return values


def surest(scores: NDArray[Any]) -> NDArray[Any]:
    """One number per row: its score, or the probability of its likeliest class."""
    return scores if scores.ndim == 1 else scores.max(axis=1, initial=0.0)
