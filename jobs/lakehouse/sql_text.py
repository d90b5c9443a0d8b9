"""Values as SQL of the engines writes them."""

from __future__ import annotations


def literal(value: bool | int | float | str) -> str:
    """A value as a literal: of a float a double, of a text what is read back as it is."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value!r}D" if isinstance(value, float) else str(value)
