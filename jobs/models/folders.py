"""How a fitted model lies in a folder: a JSON header, and one file of content whose hash the header holds.

Content is checked before anything reads it: LightGBM ends the whole process at a truncated text. Whether a folder is
the one that was approved is recorded in the manifest around it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.error_messages import in_words
from jobs.errors import Invalid

_HEADER = "model.json"
_KEYS = {"family": str, "parameters": dict, "names": tuple, "steps": int, "sha256": str}
_VOCABULARY = "vocabulary"
"""Feature -> its known values, where some features are categories."""


def write_model(folder: Path, header: Mapping[str, Any], content_name: str, content: bytes) -> None:
    """Make `folder` and write both files; `header` holds family, parameters, names and steps."""
    folder.mkdir(parents=True, exist_ok=True)
    complete = {**header, "sha256": hashlib.sha256(content).hexdigest()}
    (folder / content_name).write_bytes(content)
    (folder / _HEADER).write_text(json.dumps(complete, indent=1, sort_keys=True) + "\n")


def read_header(folder: Path) -> dict[str, Any]:
    """Family, parameters, names, steps, task, vocabulary and the content's sha256. Raises ValueError if it cannot be
    read."""
    path = folder / _HEADER
    try:
        header = json.loads(path.read_text())
        # A model of before there were tasks and categories says nothing of them.
        optional = {key: dict(header.get(key, {})) for key in ("task", _VOCABULARY)}
        return {key: kind(header[key]) for key, kind in _KEYS.items()} | optional
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Invalid(
            f"{path}: expected the header of a saved model, found {in_words(error)}; save it again"
        ) from error


def read_model(folder: Path, family: str, content_name: str) -> tuple[dict[str, Any], bytes]:
    """Header and content of a model of `family`. Raises ValueError if it is of another, or damaged."""
    header, path = read_header(folder), folder / content_name
    if header["family"] != family:
        raise Invalid(f"{folder}: expected a model of the family {family!r}, found {header['family']!r}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Invalid(
            f"{path}: expected the content of a saved model, found {in_words(error)}; save it again"
        ) from error
    if (actual := hashlib.sha256(content).hexdigest()) != header["sha256"]:
        raise Invalid(
            f"{path}: expected content of sha256 {header['sha256']}, found {actual}; restore it, or save the "
            "model again"
        )
    return header, content


def packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as .npz; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """What `packed` packed. Raises ValueError if it holds objects, which would need pickle."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
