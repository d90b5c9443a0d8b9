"""The errors that people can mend: one hierarchy, whose messages say what was expected, what was found and what to do.

Every other exception that reaches a person is a bug. How errors are shown: see `orchestration.error_boundary`.
"""


class EvergreenError(Exception):
    """Something that a person can mend, as its message says: expected, found, what to do; with the value and its place.

    An error of a room is a class there that derives from this one.
    """


class Invalid(EvergreenError, ValueError):
    """A value, a file or a state is not what was expected, and no error of a room says so more closely."""
