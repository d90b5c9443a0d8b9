"""How a person says that files and values are to be read: what a columns file may declare of a source.

Reading by it: see `jobs.ingest.readers`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FileFormat:
    """How the text files of a source are written; empty: as their own first bytes and line say."""

    source: str = "SOURCE"
    """Whose files these are: named in advice."""
    encoding: str = ""
    separator: str = ""
    quotes: str = ""
    """`text`: a quote is a character like others; `fields`: it encloses fields, also across lines; empty: it encloses
    fields, and a file in which one may have swallowed lines is refused."""

    def advice(self, declaration: str) -> str:
        """What to write into a columns file about these files."""
        return f"`{self.source}: {{file: {{{declaration}}}}}` in a columns file (`--columns`)"


AS_ITS_FIRST_LINE_SAYS = FileFormat()

EPOCH_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Units of times that are numbers, counted since 1970 UTC -> nanoseconds."""


IN_GROUPS = r"^[+-]?[1-9]\d{0,2}(?:\.\d{3})+$"
"""Numbers in text such as 1.234, with a decimal point or with a mark between thousands."""


@dataclass(frozen=True)
class ValueFormat:
    """How the values of a column are written; empty: as docs/data/your-own-data.md says."""

    timezone: str = "UTC"
    """IANA zone of times without one."""
    times: tuple[str, ...] = ()
    """Formats of strftime, or units of EPOCH_UNITS; of several the first that fits a value counts."""
    decimal: str = ""
    thousands: str = ""
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    null: tuple[str, ...] = ()
    """Words for no value."""
    published: tuple[str, ...] = ()
    """Formats that the source itself declares, besides ISO 8601, where a person declares none."""
    zone_is_said: bool = field(default=False, repr=False)
    """A person named the zone: times without one may stand beside times with one."""

    @property
    def epoch(self) -> str:
        """The declared unit of times that are numbers; empty if there is none."""
        return next((form for form in self.times if form in EPOCH_UNITS), "")
