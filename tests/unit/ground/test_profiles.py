"""Declarations of profile features: what they are called, and which are refused where they stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from worlds.profiled_world import BANK, CUSTOMERS, NAMES, PROFILE

from jobs.data_dictionary.tables import DataDictionary
from jobs.errors import Invalid
from jobs.profiles import ProfileFeatures
from jobs.projects.standard_models import standard_models
from jobs.projects.standard_views import standard_views
from jobs.use_case import Column


def test_features_bear_the_names_of_columns_and_a_moment_is_an_age() -> None:
    assert BANK.profile_features(PROFILE) == NAMES and BANK.profile_table(PROFILE) == "bank.customers"


def test_each_feature_has_a_sentence_of_its_column() -> None:
    meaning = DataDictionary(BANK).meaning
    known = "as known of the customer at the time of the event"
    assert meaning("region").sentence == f"Where the customer lives, {known}; null if nothing is."
    assert meaning("limit").sentence == f"What may be paid a day, {known}, in euros; null if nothing is."
    assert meaning("born_at_age").sentence == f"Age of born_at, {known}, in days; null where it is missing or later."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": "clients"}, "expected one of the sources payments, reports, customers, found 'clients'"),
        ({"source": "payments", "columns": ("amount",)}, "whose key is one of the entities customer_id"),
        ({"columns": ("region", "colour")}, "expected columns among .* found 'colour'"),
        ({"columns": ()}, "expected at least one, found none"),
        ({"columns": ("customer_id",)}, "customer_id of kind identifier"),
        ({"columns": ["region"]}, "expected .*, found"),
        ({"columns": ("region", "region")}, "found region; rename"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_with_its_place(given: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        replace(BANK, profiles=(ProfileFeatures(**{"source": "customers", "columns": ("region",)} | given),))
    assert "test_profiles.py, line" in str(refused.value)


@pytest.mark.parametrize("name", ["amount", "is_fraud", "payments_1d"])
def test_a_name_that_events_or_other_features_have_is_refused(name: str) -> None:
    customers = replace(CUSTOMERS, columns=(*CUSTOMERS.columns, Column(name, "number", nullable=True)))
    with pytest.raises(Invalid, match=f"found {name}; rename them in the source"):
        replace(BANK, sources=(*BANK.sources[:2], customers), profiles=(ProfileFeatures("customers", (name,)),))


def test_two_profiles_of_one_source_are_refused() -> None:
    with pytest.raises(Invalid, match="expected one of each source"):
        replace(BANK, profiles=(ProfileFeatures("customers", ("region",)), ProfileFeatures("customers", ("limit",))))


def test_mart_and_view_follow_from_the_declaration() -> None:
    models, view = standard_models(BANK), standard_views(BANK, "bank:BANK")
    assert (
        "profiles(source('bank_raw', 'customers'), 'customer_id', ['changed_at', 'region'"
        in models["marts/bank/bank__customers.sql"]
    )
    assert not [name for name in models if "stg_bank__customers" in name]
    compile(view, "bank_features.py", "exec")
    assert "customers = profile_view(BANK, BANK.profiles[0], customer_id)" in view
    assert "features=[customer_windows, customers]" in view
