"""YAML whose scalars are all texts, and whose mappings say nothing twice."""

from typing import Any

import yaml

from jobs.errors import Invalid


class Texts(yaml.BaseLoader):
    """Builds texts, lists and mappings only: `yes`, `1` and `null` are what was written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the base class does. Raises Invalid if a key is there twice."""
        keys = [str(key.value) for key, _ in node.value]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise Invalid(
                f"expected every key once, found {', '.join(twice)} twice in the mapping of line "
                f"{node.start_mark.line + 1}; remove one"
            )
        return dict(super().construct_mapping(node, deep))
