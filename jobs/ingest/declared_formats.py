"""How a person says that files and values are to be read: what a columns file may declare of a source.

Reading by it: see `jobs.ingest.readers`.
"""

from dataclasses import dataclass


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
