"""What the assets of a use case have in common when they are declared: group, owners, tag, days, readable errors."""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from assets.checks import completed, specs
from assets.code_references import references
from assets.metadata import legible
from jobs.checks.check import Check
from jobs.error_log import traceback_of
from jobs.error_messages import bug, is_error, message_of
from jobs.lakehouse.engine_process import EngineLost
from jobs.use_case import Source, UseCase
from jobs.windows import WindowFeatures

TRACEBACK = "traceback"
"""Name of the metadata of a failure that is a bug."""


def asset(
    use_case: UseCase,
    key: dg.AssetKey,
    days: dg.PartitionsDefinition | None = None,
    *,
    declaration: Source | WindowFeatures | None = None,
    checks: Sequence[Check] = (),
    **declared: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` for an asset of a use case, in the group that its key names unless another is declared.

    Args:
        days: its daily partitions, if it has any; a backfill of them is one run.
        declaration: what the asset is made of, if it is a part of the use case that stands somewhere itself.
        checks: what has to hold of it. Its materialization brings their results, or says in `notes` or `reason` why
            there is nothing to judge.
        declared: further arguments of `dg.asset`, which win over what is common to all.
    """
    common: dict[str, Any] = {
        "group_name": key.path[1],
        "owners": list(use_case.owners),
        "tags": {"use_case": use_case.name},
        "check_specs": [*specs(key, checks), *declared.pop("check_specs", ())],
    }
    if days is not None:
        common |= {"partitions_def": days, "backfill_policy": dg.BackfillPolicy.single_run()}
    declared_at, metadata = (declaration or use_case).declared_at, declared.pop("metadata", {})

    def make(work: Callable[..., Any]) -> dg.AssetsDefinition:
        every = {**metadata, **references(declared_at, work)}
        step = readable(_checked(work, checks))
        made: dg.AssetsDefinition = dg.asset(key=key, metadata=every, **{**common, **declared})(step)
        return made

    return make


def _checked(work: Callable[..., Any], checks: Sequence[Check]) -> Callable[..., Any]:
    """The same function, whose materialization has a result of each of `checks`, and legible numbers."""

    def with_results(event: Any) -> Any:
        if not isinstance(event, dg.MaterializeResult):
            return event
        return completed(checks, event._replace(metadata=legible(event.metadata or {})))

    @functools.wraps(work)
    def result(*arguments: Any, **named: Any) -> Any:
        return with_results(work(*arguments, **named))

    @functools.wraps(work)
    def results(*arguments: Any, **named: Any) -> Iterator[Any]:
        yield from map(with_results, work(*arguments, **named))

    if "return" in work.__annotations__:
        # Dagster takes a generic MaterializeResult for one of several outputs.
        result.__annotations__ = {**work.__annotations__, "return": dg.MaterializeResult}
    return results if inspect.isgeneratorfunction(work) else result


def readable(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for Dagster, whose errors end in a `Failure` that says what to do."""

    @functools.wraps(work)
    def result(*arguments: Any, **named: Any) -> Any:
        with _failures():
            return work(*arguments, **named)

    @functools.wraps(work)
    def results(*arguments: Any, **named: Any) -> Iterator[Any]:
        with _failures():
            yield from work(*arguments, **named)

    return results if inspect.isgeneratorfunction(work) else result


@contextmanager
def _failures() -> Iterator[None]:
    """Errors leave as failures, without a cause that Dagster would write down with every secret that it quotes."""
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except EngineLost as error:
        raise dg.RetryRequested(max_retries=1) from error  # a step goes on where it was, with a new engine
    except BaseException as error:
        if not is_error(error):
            raise
        if message := message_of(error):
            raise dg.Failure(message) from None
        raise dg.Failure(bug(error), metadata={TRACEBACK: dg.MetadataValue.text(traceback_of(error))}) from None
