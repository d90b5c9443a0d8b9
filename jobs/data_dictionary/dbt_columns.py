"""What the columns of dbt models are: as their YAML says, or as follows from what they are made of.

Names of the columns that YAML does not list are known once a table has been built.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.data_dictionary.event_columns import declared_column
from jobs.data_dictionary.meaning import Meaning
from jobs.data_dictionary.tables import DataDictionary
from jobs.use_case import UseCase


@dataclass(frozen=True)
class ModelDictionary:
    """What the columns of a dbt model or source of a use case hold."""

    use_case: UseCase
    manifest: Mapping[str, Any]
    """dbt's, as JSON."""
    node_id: str

    def meaning(self, column: str) -> Meaning:
        """The meaning of a column; of one that nobody describes it says where it is computed."""
        known = self._of_source(column) or declared_column(self.use_case, column)
        if text := next(self._described(self.node_id, column), ""):
            return Meaning(text, known.unit if known else "", bool(known and known.is_identifier))
        spaced = column.replace("_", " ").capitalize()
        return known or Meaning(f"{spaced}, as the SQL of {self._node(self.node_id)['name']} computes it.")

    @property
    def columns(self) -> list[str]:
        """Columns that the YAML lists."""
        return list(self._node(self.node_id)["columns"])

    def _of_source(self, column: str) -> Meaning | None:
        node = self._node(self.node_id)
        source = next((s for s in self.use_case.sources if s.name == node["name"]), None)
        if node["resource_type"] != "source" or source is None:
            return None
        return DataDictionary(self.use_case, source=source).meaning(column)

    def _described(self, node_id: str, column: str) -> Iterator[str]:
        """What the YAML of a node says about the column, then what that of its inputs says of one of the name."""
        own = self._node(node_id)["columns"].get(column, {}).get("description", "").strip()
        yield from [own] if own else []
        for parent in self.manifest["parent_map"].get(node_id, ()):
            if parent.split(".")[0] in ("model", "source"):
                yield from self._described(parent, column)

    def _node(self, node_id: str) -> Mapping[str, Any]:
        node: Mapping[str, Any] = self.manifest["sources" if node_id.startswith("source.") else "nodes"][node_id]
        return node
