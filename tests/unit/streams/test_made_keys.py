"""Rows without a key of their own, over a topic: equal messages are one row, however they come together."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import polars as pl
from worlds.streamed_world import ListReader

from jobs.ingest.columns_file import ColumnsFile
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.formats import decoder
from jobs.messages.message import Message
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.streams import starting
from jobs.use_cases.returns import RETURNS, SHIPPED


def test_lines_as_they_are_published_are_rows_once(tmp_path: Path) -> None:
    lines = pl.read_parquet(SHIPPED).head(400)
    values = [json.dumps(line, default=str).encode() for line in lines.iter_rows(named=True)]
    sent = [*values, *values[50:80], values[7], values[7]]
    messages = [Message("returns.lines", 0, place, -1, None, value) for place, value in enumerate(sent)]
    lakehouse, topics = Lakehouse(Settings(home=tmp_path)), Topics(RETURNS)
    reader = ListReader(starting.positions(lakehouse, topics), messages, Random(0))
    one = starting.open_stream(lakehouse, topics, reader, decoder(), ColumnsFile())
    while one.step(0):
        pass
    one.commit()
    one.close()
    whole = lines.filter(pl.col("CustomerID").is_not_null())
    rows = lakehouse.to_arrow(RETURNS.raw_table(RETURNS.sources[0]))
    assert rows.num_rows == one.counts.new == whole.n_unique()
    assert len(set(rows.column("line_id").to_pylist())) == rows.num_rows
    assert one.counts.new + one.counts.repeated + one.counts.bad == len(sent)
