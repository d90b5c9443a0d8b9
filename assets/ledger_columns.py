"""Columns of the ledger's tables, for the pages of the assets whose rows they hold."""

import dagster as dg

from jobs.data_dictionary.ledger_tables import LedgerDictionary
from jobs.ledger.schema import METADATA


def ledger_columns(table: str) -> dict[str, dg.TableSchema]:
    """Metadata of the definition of an asset: the columns of a table of the ledger, with their sentences."""
    dictionary = LedgerDictionary(table)
    columns = METADATA.tables[table].columns.values()
    kinds = ((column.name, type(column.type).__name__.lower()) for column in columns)
    shown = [dg.TableColumn(name, kind, dictionary.meaning(name).sentence) for name, kind in kinds]
    return {"dagster/column_schema": dg.TableSchema(shown)}
