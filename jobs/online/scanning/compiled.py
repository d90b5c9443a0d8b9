"""The mark of a function that is compiled into the kernel; called from elsewhere it runs the same."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(function: _F) -> _F:
    """A function of numbers and arrays alone, which takes programs and states as pairs: integers, and the same bytes as
    doubles."""
    made: _F = njit(function)
    return made
