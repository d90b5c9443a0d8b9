"""What the asset of the business shows where there is nothing to show yet."""

from __future__ import annotations

import polars as pl
import pytest

from assets import business
from jobs.ground_truth import business_table

pytestmark = pytest.mark.embedded


def test_figures_that_all_wait_for_labels_are_drawn_of_no_picture() -> None:
    none = pl.DataFrame(business_table.SCHEMA.empty_table())
    assert business._shown(none.with_columns(judged=pl.lit(False))) == {}
