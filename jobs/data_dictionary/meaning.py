"""What one column holds, as a sentence for people: the value that every other module of this room returns."""

import re
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Meaning:
    """What a column holds."""

    text: str
    unit: str = ""
    """The unit as a noun ("seconds", "UTC"); empty for what has none, such as names, counts and truth values."""
    is_identifier: bool = False
    """Whether its numbers are names, which are not grouped or rounded."""

    @property
    def sentence(self) -> str:
        """The text, which names the unit after its first clause if it does not name it anyway."""
        text = self.text.strip()
        if self.unit and not re.search(rf"\b{re.escape(self.unit)}\b", text, re.IGNORECASE):
            what, *more = text.rstrip(".").split(";", 1)
            text = ";".join([f"{what}, in {self.unit}", *more])
        return text if text.endswith((".", "!", "?")) else f"{text}."


class Dictionary(Protocol):
    """The data dictionary of one table."""

    def meaning(self, column: str) -> Meaning:
        """The meaning of a column; every name has one."""
