"""The state that a commit of a table carries: what its rows were made from, as JSON in the commit's metadata.

What a state holds is known to the rooms above; reading it back: see `jobs.lakehouse.tables`.
"""

import json
from collections.abc import Mapping
from typing import Any

from deltalake import CommitProperties


def user_metadata(state: Mapping[str, Any]) -> str:
    """The state as Spark's writer takes it, in the option `userMetadata`."""
    return json.dumps({"evergreen": dict(state)}, sort_keys=True, default=str)


def keeping(state: Mapping[str, Any]) -> CommitProperties:
    """Commit properties of a commit that changes no meaning (restore, compaction): the state goes on."""
    return CommitProperties(custom_metadata={"userMetadata": user_metadata(state)})
