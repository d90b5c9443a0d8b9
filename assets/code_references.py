"""Where the code of an asset stands, as Dagster's code references: its declaration, then the function that builds it.

They are files of this machine; `orchestration.repository_links` makes links of those that a server has too.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from jobs.declared_place import Place

KEY = "dagster/code_references"


def references(declared_at: Place, work: Callable[..., Any]) -> dict[str, Any]:
    """Metadata of an asset that is built by `work` from what is declared at a place."""
    code = inspect.unwrap(work).__code__
    return _metadata(
        [
            _reference("the declaration", *declared_at),
            _reference("the code that builds it", code.co_filename, code.co_firstlineno),
        ]
    )


def dbt_references(project: Path, node: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of a dbt model: its SQL, and the YAML that describes it."""
    found = [_reference("the SQL of the model", str(project / node["original_file_path"]))]
    if patch := node.get("patch_path"):
        found.append(_reference("its columns and tests", str(project / patch.split("://", 1)[-1])))
    return _metadata(found)


def of(metadata: Mapping[str, Any]) -> Iterator[dg.LocalFileCodeReference | dg.UrlCodeReference]:
    """The code references in the metadata of an asset."""
    if value := metadata.get(KEY):
        yield from value.code_references


def _reference(label: str, file: str, line: int | None = None) -> dg.LocalFileCodeReference:
    with _beta():
        return dg.LocalFileCodeReference(file_path=file, line_number=line, label=label)


def _metadata(found: list[dg.LocalFileCodeReference]) -> dict[str, Any]:
    with _beta():
        return {KEY: dg.CodeReferencesMetadataValue(code_references=list(found))}


@contextmanager
def _beta() -> Iterator[None]:
    """Dagster marks code references beta; we pin the version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield
