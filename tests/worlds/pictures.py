"""Figures of tests that look at none: built with all their data and not rendered, which takes a tenth of a night."""

import base64
import contextlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from matplotlib.figure import Figure

RENDER = Figure.savefig
ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def unrendered(figure: Figure, file: Any, **options: Any) -> None:
    """Writes one pixel in place of the figure."""
    file.write(ONE_PIXEL)


@contextlib.contextmanager
def rendered() -> Iterator[None]:
    """In this block figures are rendered, as they are outside of tests."""
    with patch.object(Figure, "savefig", RENDER):
        yield
