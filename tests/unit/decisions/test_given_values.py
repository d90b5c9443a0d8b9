"""Values of columns as clients send them: identifiers become what tables have of them."""

from __future__ import annotations

import pytest

from jobs.decisions.given_values import form_of, reader
from jobs.errors import Invalid
from jobs.use_case import Column

pytestmark = pytest.mark.embedded
ENTITY = Column("customer_id", "identifier")
UUID = "0E4FBA12-0000-4000-8000-00000000000A"


@pytest.mark.parametrize(
    ("sent", "held"), [(" A1\n", "A1"), ("42.0", "42"), (UUID, UUID.lower()), ("e\u0301", "\u00e9")]
)
def test_an_identifier_is_of_the_entity_that_files_have(sent: str, held: str) -> None:
    assert form_of(ENTITY, "string") == "identifier" and reader(ENTITY, "string")(sent) == held


@pytest.mark.parametrize("sent", ["", "\u2003", "none", "{}", "1.2E+19", 5, None, ["A1"]])
def test_what_names_nothing_is_refused(sent: object) -> None:
    with pytest.raises(Invalid, match="column customer_id: expected a text of 1 to 1,000 characters that names one"):
        reader(ENTITY, "string")(sent)


def test_a_text_that_no_database_holds_is_refused() -> None:
    with pytest.raises(Invalid, match="none of them NUL"):
        reader(Column("country", "string"), "string")("a\0b")
