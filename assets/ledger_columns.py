"""Columns of the ledger's tables, for the pages of the assets whose rows they hold."""

import dagster as dg

from assets.metadata import mapping_table
from jobs.data_dictionary.ledger_tables import LedgerDictionary
from jobs.ledger.schema import METADATA


def ledger_columns(table: str) -> dict[str, dg.MetadataValue]:
    """Metadata of the definition of an asset: what the columns of a table of the ledger hold.

    Not as the asset's own columns, which would stand on its page before what was decided.
    """
    sentences = {c.name: LedgerDictionary(table).meaning(c.name).sentence for c in METADATA.tables[table].columns}
    return {f"ledger: {table}": mapping_table(sentences, ("column", "what it holds"))}
