"""The time-ordered split: what is trained on was known when validation began, and nothing is in two windows."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.datasets.time_split import Split, refusal, split
from jobs.tasks.task import FEWEST
from jobs.times import microseconds

DAY = timedelta(days=1)
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
lengths = st.timedeltas(min_value=timedelta(hours=1), max_value=40 * DAY)


@st.composite
def splits_and_times(draw: st.DrawFn) -> tuple[Split, timedelta, np.ndarray]:
    maturity, validation, judged = draw(lengths), draw(lengths), draw(lengths)
    parts = split(AS_OF, maturity, validation, judged)
    edges = [parts.validation_start - maturity, parts.validation_start, parts.judged_start - maturity]
    edges += [parts.judged_start, parts.judged_end, AS_OF]
    times = [microseconds(edge) + offset for edge in edges for offset in (-1, 0, 1)]
    times += [microseconds(AS_OF - ago) for ago in draw(st.lists(st.timedeltas(0 * DAY, 200 * DAY), max_size=50))]
    return parts, maturity, np.array(times, np.int64)


@given(splits_and_times())
def test_no_label_is_trained_on_that_was_unknown_when_validation_or_the_judged_window_began(
    made: tuple[Split, timedelta, np.ndarray],
) -> None:
    parts, maturity, times = made
    known_at = times + maturity // timedelta(microseconds=1)
    assert (known_at[parts.training(times)] <= microseconds(parts.validation_start)).all()
    assert (known_at[parts.final(times)] <= microseconds(parts.judged_start)).all()
    assert (known_at[parts.judged(times)] <= microseconds(AS_OF)).all()


@given(splits_and_times())
def test_windows_do_not_overlap_and_follow_each_other(made: tuple[Split, timedelta, np.ndarray]) -> None:
    parts, _, times = made
    masks = [parts.training(times), parts.validation(times), parts.judged(times)]
    assert np.stack(masks).sum(axis=0).max(initial=0) <= 1
    assert not (parts.final(times) & parts.judged(times)).any()
    assert (parts.final(times) >= parts.training(times)).all()


@given(splits_and_times())
def test_every_mature_row_after_validation_began_is_validated_on_or_judged(
    made: tuple[Split, timedelta, np.ndarray],
) -> None:
    parts, maturity, times = made
    late = (times > microseconds(parts.validation_start)) & (times <= microseconds(AS_OF - maturity))
    assert (late == (parts.validation(times) | parts.judged(times))).all()


@pytest.mark.parametrize("empty", ["training", "validation"])
@pytest.mark.parametrize("labels_are", [False, True])
def test_a_window_with_a_single_class_is_refused_in_plain_words(empty: str, labels_are: bool) -> None:
    parts = split(AS_OF, 7 * DAY, 14 * DAY, 14 * DAY)
    times = np.array([microseconds(AS_OF - timedelta(hours=h)) for h in range(24 * 80)])
    labels = np.arange(len(times)) % 4 == 0
    assert refusal(parts, times, labels) is None
    labels[getattr(parts, empty)(times)] = labels_are
    said = refusal(parts, times, labels)
    assert said is not None and f"the {empty} window" in said and "expected at least" in said


def test_too_few_positives_and_no_rows_at_all_are_refused() -> None:
    parts = split(AS_OF, 7 * DAY, 14 * DAY, 14 * DAY)
    assert "0 positives in 0 rows" in str(refusal(parts, np.zeros(0, np.int64), np.zeros(0, bool)))
    times = np.array([microseconds(AS_OF - timedelta(hours=h)) for h in range(24 * 80)])
    labels = np.zeros(len(times), bool)
    labels[np.flatnonzero(parts.training(times))[: FEWEST - 1]] = True
    assert f"{FEWEST - 1} positives" in str(refusal(parts, times, labels))
