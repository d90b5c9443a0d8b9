"""Counts and sums of a customer's payments in three sliding windows, by Quix Streams, in an environment of its own.

As its documentation has it (docs/windowing.md, docs/advanced/stateful-processing.md of quixio/quix-streams, 3.28):
sliding windows by event time with a grace period, `current()` for a result with each message, windows of one topic as
branches, state in RocksDB with its changelog topics; where `filtered`, each payment passes once, by a stateful filter.
`GIVEN` says what is read and where results go, as `streaming.rival` writes it. Prints the processor seconds of the run.
"""

import json
import os
import time
from datetime import datetime, timedelta
from typing import Any

from quixstreams import Application, State
from quixstreams.dataframe.windows import Count, Sum

MILLISECOND = timedelta(milliseconds=1)
PATIENCE_SECONDS = 10.0


def event_time(value: Any, headers: Any, timestamp: float, kind: Any) -> int:
    return int(datetime.fromisoformat(value["tx_datetime"]).timestamp() * 1000)


def is_new(value: dict[str, Any], state: State) -> bool:
    id = str(value["transaction_id"])
    if state.exists(id):
        return False
    state.set(id, True)
    return True


def main() -> None:
    given = json.loads(os.environ["GIVEN"])
    app = Application(
        broker_address=given["broker"], consumer_group=given["group"], auto_offset_reset="earliest",
        state_dir=given["state"], loglevel="WARNING",
    )  # fmt: skip
    payments = app.dataframe(app.topic(given["topic"], value_deserializer="json", timestamp_extractor=event_time))
    if given["filtered"]:
        payments = payments.filter(is_new, stateful=True)
    for seconds, topic in given["windows"].items():
        # Both ends belong to a window here, and times are whole milliseconds: the start must not.
        window = payments.sliding_window(
            timedelta(seconds=int(seconds)) - MILLISECOND, grace_ms=timedelta(seconds=given["grace"]),
            on_late=lambda *_: False,
        )  # fmt: skip
        results = window.agg(count=Count(), sum=Sum("tx_amount")).current()
        results.to_topic(app.topic(topic, value_serializer="json"))
    start = time.process_time()
    app.run(timeout=PATIENCE_SECONDS)
    print(time.process_time() - start)


if __name__ == "__main__":
    main()
