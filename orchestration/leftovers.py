"""What killed runs left unfinished, in a home and in the temporary folder: removed when the next run begins."""

from __future__ import annotations

from pathlib import Path

from jobs import unfinished
from jobs.settings import Settings

OF_OTHERS = ("warehouse", "cache", "spark", "kafka", "dagster/storage", "tracking/artifacts")
"""Folders of a home with many files, none of them written by `jobs.unfinished`."""


def sweep(settings: Settings) -> list[Path]:
    """Remove them, and nothing that a live process works on; returns what was removed."""
    apart_from = {settings.home / name for name in OF_OTHERS}
    return unfinished.sweep_below(settings.home, apart_from) + unfinished.sweep()
