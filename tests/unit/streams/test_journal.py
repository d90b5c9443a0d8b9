"""The journal of a stream: what came, at its stamps, also where one row is several facts."""

from pathlib import Path

from jobs.decisions.log_contents import EventCame, FactGone, LabelCame, VersionCame
from jobs.streams.journal import Journal

CAME = EventCame(1, {"customer_id": 1}, 5)
MOVED = VersionCame(1, {"customer_id": 2}, 5, {"customer_id": 1})
GONE = FactGone(1, "labels", {"customer_id": 1})
NO_MORE = FactGone(1, "events", {"customer_id": 2})
LABEL = LabelCame(1, 5, {"customer_id": 2}, {"is_fraud": True})


def test_facts_of_one_row_have_its_stamp_and_the_next_row_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    records = journal.append([(10, CAME)])
    records += [record for fact in (MOVED, GONE, LABEL) for record in journal.append([(11, fact)])]
    records += journal.append([(12, EventCame(2, {}, 6)), (13, EventCame(3, {}, 7))])
    assert [journal.at(record.start).stamp for record in records] == [10, 11, 11, 11, 12, 13]
    assert journal.last(1, "events") == (11, MOVED) and journal.last(2, "events") == (12, EventCame(2, {}, 6))
    assert journal.last(1, "labels") == (11, LABEL)
    assert journal.last(2, "labels") is None and journal.last(4, "events") is None
    journal.append([(14, NO_MORE)])
    assert journal.last(1, "events") == (14, NO_MORE) and journal.last(1, "labels") == (11, LABEL)
    journal.close()
