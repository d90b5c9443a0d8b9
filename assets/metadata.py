"""What people look at on an asset's page: row counts, versions, schema, sample rows and small plots.

Everything is read from the Delta log or a small sample, never from a whole table.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import times
from jobs.lakehouse import Lakehouse

SAMPLE_ROWS = 5
SAMPLED_ROWS = 20_000
PLOTTED_COLUMNS = 6
PLOTS_PER_ROW = 3
"""A wider picture would not fit into Dagster's dialog."""


def describe(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    table: str,
    plot_columns: Sequence[str] = (),
    descriptions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Metadata of a table as it is now, for each partition of the run; pictures and samples go to the last one only.

    A run over 180 days leaves 180 events per asset: what is large must not be in all of them.
    """
    delta = lakehouse.delta(table)
    files = pa.table(delta.get_add_actions(flatten=True))
    span = times.days(context) if context.assets_def.partitions_def else None
    last = span[1].isoformat() if span else None
    pictures = _pictures(lakehouse, table, files, plot_columns, descriptions or {})
    context.add_asset_metadata(pictures, partition_key=last)
    return {
        "delta_version": dg.MetadataValue.int(delta.version()),
        "dagster/row_count": sum(n or 0 for n in files["num_records"].to_pylist()),
    }


def _pictures(
    lakehouse: Lakehouse, table: str, files: pa.Table, plot_columns: Sequence[str], descriptions: Mapping[str, str]
) -> dict[str, Any]:
    columns = [dg.TableColumn(f.name, str(f.type), descriptions.get(f.name)) for f in lakehouse.schema(table)]
    metadata: dict[str, Any] = {
        "dagster/uri": lakehouse.path(table),
        "dagster/table_name": table,
        "dagster/column_schema": dg.TableSchema(columns),
    }
    sample = _sample(lakehouse, table, files)
    if sample is not None:
        metadata["sample"] = markdown_table(sample.slice(0, SAMPLE_ROWS))
        if plot_columns:
            metadata["distributions"] = histograms(sample, plot_columns)
    if days := _rows_per_day(files):
        metadata["rows_per_day"] = daily_plot(days)
    return metadata


def _rows_per_day(files: pa.Table) -> dict[date, int]:
    if "partition.event_date" not in files.column_names:
        return {}
    rows: dict[date, int] = {}
    counts = zip(files["partition.event_date"].to_pylist(), files["num_records"].to_pylist(), strict=True)
    for day, n in counts:
        if day is not None:
            rows[day] = rows.get(day, 0) + (n or 0)
    return dict(sorted(rows.items()))


def _sample(lakehouse: Lakehouse, table: str, files: pa.Table) -> pa.Table | None:
    """Rows of the newest daily partition, or the first ones of a table without partitions; None if it is empty."""
    days = _rows_per_day(files)
    if days:
        return lakehouse.to_arrow(table, filters=[("event_date", "=", max(days))])
    return lakehouse.delta(table).to_pyarrow_dataset().head(SAMPLED_ROWS) if files.num_rows else None


def markdown_table(rows: pa.Table) -> dg.MetadataValue:
    """A small Arrow table as a Markdown table."""
    header = f"| {' | '.join(rows.column_names)} |\n|{'---|' * rows.num_columns}"
    lines = ["| " + " | ".join(_cell(v) for v in row.values()) + " |" for row in rows.to_pylist()]
    return dg.MetadataValue.md("\n".join([header, *lines]))


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def mapping_table(values: Mapping[str, object], header: tuple[str, str] = ("what", "value")) -> dg.MetadataValue:
    """Names and values as a Markdown table."""
    return markdown_table(pa.table({header[0]: list(values), header[1]: [_cell(v) for v in values.values()]}))


def daily_plot(days: Mapping[date, int]) -> dg.MetadataValue:
    """Rows per day as a picture."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 1.6), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(
        np.array(list(days), dtype="datetime64[D]"), list(days.values()), step="mid", alpha=0.6, color="#2e7d32"
    )
    axes.set_ylim(bottom=0)
    axes.set_title("rows per day", fontsize=8)
    axes.tick_params(labelsize=7)
    return _picture(figure)


def histograms(rows: pa.Table, columns: Sequence[str]) -> dg.MetadataValue:
    """Distributions of numeric columns as one picture."""
    import numpy as np
    from matplotlib.figure import Figure

    shown = [c for c in columns if c in rows.column_names][:PLOTTED_COLUMNS]
    lines = max(1, -(-len(shown) // PLOTS_PER_ROW))
    figure = Figure(figsize=(9, 1.7 * lines), layout="constrained")
    grid = np.ravel(figure.subplots(lines, PLOTS_PER_ROW, squeeze=False))
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, column in zip(grid, shown, strict=False):
        values = rows.column(column).drop_null().cast(pa.float64()).to_numpy()
        top = np.quantile(values, 0.99) if len(values) else 1.0
        axes.hist(np.minimum(values, top), bins=30, color="#1565c0")
        axes.set_title(column, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_yticks([])
    return _picture(figure)


def _picture(figure: Any) -> dg.MetadataValue:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{encoded})")
