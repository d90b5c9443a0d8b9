"""Guard slices and groups of rows, cut at bounds or by value."""

import pyarrow as pa
from worlds.judged_world import AS_OF, USE_CASE

from jobs.datasets.slices import masks
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Groups, Slice
from jobs.settings import Settings


def test_values_of_a_category_are_groups_and_an_empty_text_is_none(home: Settings) -> None:
    rows = pa.table({"kind": ["shop", None, "", "web", "shop"]})
    groups = (Groups("kinds", "kind"), Slice("outside", "kind", values=("web", "phone")))
    found, _ = masks(Lakehouse(home), USE_CASE, groups, rows, AS_OF)
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "kinds:shop": [True, False, False, False, True], "kinds:web": [False, False, False, True, False],
        "outside": [False, False, False, True, False],
    }  # fmt: skip


def test_a_boolean_is_cut_at_edges_like_a_number(home: Settings) -> None:
    rows = pa.table({"is_abroad": [True, False, None, True]})
    groups = (Groups("abroad", "is_abroad", edges=(1,)), Groups("either", "is_abroad"))
    found, left_out = masks(Lakehouse(home), USE_CASE, groups, rows, AS_OF)
    assert left_out == ()
    assert sorted(found[name].tolist() for name in found if name.startswith("abroad")) == [
        [False, True, False, False], [True, False, False, True]
    ]  # fmt: skip
    assert {name: mask.tolist() for name, mask in found.items() if name.startswith("either")} == {
        "either:false": [False, True, False, False], "either:true": [True, False, False, True]
    }  # fmt: skip
