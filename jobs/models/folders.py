"""How fitted models lie in a folder: a JSON header, and arrays as .npz that is read without pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_HEADER, _ARRAYS = "model.json", "arrays.npz"


def write_header(folder: Path, family: str, parameters: Mapping[str, Any], names: tuple[str, ...], steps: int) -> None:
    """Make `folder` and write who the model is."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"family": family, "parameters": dict(parameters), "names": list(names), "steps": steps}
    (folder / _HEADER).write_text(json.dumps(header, indent=1, sort_keys=True) + "\n")


def read_header(folder: Path, family: str | None = None) -> dict[str, Any]:
    """`family`, `parameters`, `names` and `steps`. Raises ValueError if unreadable or of another family."""
    path = folder / _HEADER
    try:
        header = json.loads(path.read_text())
        header = {"steps": int(header["steps"]), "names": tuple(header["names"]), **_identity(header)}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected the header of a saved model, found {error!r}; save it again") from error
    if family not in (None, header["family"]):
        raise ValueError(f"{path}: expected a model of the family {family!r}, found {header['family']!r}")
    return header


def _identity(header: Mapping[str, Any]) -> dict[str, Any]:
    return {"family": str(header["family"]), "parameters": dict(header["parameters"])}


def write_arrays(folder: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """The same arrays give the same bytes."""
    np.savez(folder / _ARRAYS, allow_pickle=False, **arrays)


def read_arrays(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """What `write_arrays` wrote. Raises ValueError if it is damaged, or holds objects."""
    path = folder / _ARRAYS
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: expected arrays of numbers, found {error!r}; save the model again") from error
