"""What models that are kept as arrays share: parameters, names, and how they are saved and loaded again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt

from jobs.errors import Invalid
from jobs.models import vocabulary
from jobs.models.folders import packed, read_model, unpacked, write_model
from jobs.models.protocol import Examples, fitted_names, merged
from jobs.models.vocabulary import Vocabulary
from jobs.tasks.binary import BINARY
from jobs.tasks.catalog import of_stored
from jobs.tasks.task import Task

Arrays = dict[str, npt.NDArray[Any]]
_ARRAYS = "arrays.npz"


class ArrayModel:
    """A model whose fitted state is named arrays; a family says what they are and what follows from them."""

    family: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        self.parameters = merged(self.family, self.defaults, parameters or {})
        self.steps = 0
        self._names: tuple[str, ...] | None = None
        self._task: Task = BINARY
        self._vocabulary = Vocabulary()
        self._state: Arrays = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The features expected, in order. Raises ValueError before `fit` or `load`."""
        return fitted_names(self.family, self._names)

    @property
    def categories(self) -> tuple[str, ...]:
        """See `Model.categories`."""
        return self._vocabulary.names(self.names)

    def _learned(self, train: Examples, state: Arrays) -> None:
        """Become fitted."""
        self._names, self._task, self._state = train.names, train.task, state

    def _arrays(self) -> Arrays:
        """What is stored."""
        return self._state

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays, of a model with these names, task, parameters and vocabulary."""
        raise NotImplementedError

    def _restore(self, arrays: Arrays) -> None:
        """Become what `_arrays` returned. Raises ValueError unless these are such arrays."""
        expected = self._shapes()
        if (found := {name: array.shape for name, array in arrays.items()}) != expected:
            raise Invalid(f"expected arrays of shapes {expected}, found {found}")
        self._state = arrays

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        header = {"family": self.family, "parameters": self.parameters, "names": self.names, "steps": self.steps}
        header |= {"task": stored} if (stored := self._task.stored()) else {}
        write_model(folder, header | self._vocabulary.header(self.names), _ARRAYS, packed(self._arrays()))

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        header, content = read_model(folder, self.family, _ARRAYS)
        self.parameters = merged(self.family, self.defaults, header["parameters"])
        self._task, self._vocabulary = of_stored(header["task"]), vocabulary.of_header(header)
        self._names, self.steps = header["names"], header["steps"]
        try:
            self._restore(unpacked(content))
        except ValueError as error:
            self._names = None
            raise Invalid(f"{folder}: {error}; save the model again") from error
