"""What people look at on an asset's page: row counts, versions, schema, sample rows and small plots.

Everything is read from the Delta log or a small sample, never from a whole table.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import run_context
from jobs.data_dictionary.meaning import Dictionary
from jobs.display import markdown, rounded, written
from jobs.lakehouse.tables import Lakehouse

SAMPLE_ROWS = 5
SAMPLED_ROWS = 20_000
PLOTTED_COLUMNS = 6
PLOTS_PER_ROW = 3
"""A wider picture would not fit into Dagster's dialog."""


def describe(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    table: str,
    dictionary: Dictionary,
    plot_columns: Sequence[str] = (),
    *,
    key: dg.AssetKey | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Metadata of a table as it is now, for each partition of the run.

    Pictures, samples and what is in `more` go to the last one only: a run over 180 days leaves 180 events per asset,
    and what is large must not be in all of them. A step of several assets says which by `key`.
    """
    delta = lakehouse.snapshot(table)
    files = pa.table(delta.get_add_actions(flatten=True))
    span = run_context.days(context) if context.assets_def.partitions_def else None
    last = span[1].isoformat() if span else None
    pictures = _pictures(lakehouse, table, files, plot_columns, dictionary)
    shown = {**pictures, **legible(more or {}, "figures_of_the_last_day")}
    context.add_asset_metadata(shown, key, partition_key=last)
    return _counts(delta.version(), files)


def counts(lakehouse: Lakehouse, table: str) -> dict[str, Any]:
    """The table's version and rows alone."""
    delta = lakehouse.snapshot(table)
    return _counts(delta.version(), pa.table(delta.get_add_actions(flatten=True)))


def _counts(version: int, files: pa.Table) -> dict[str, Any]:
    rows = sum(n or 0 for n in files["num_records"].to_pylist())
    return {"delta_version": dg.MetadataValue.int(version), "dagster/row_count": rows}


def _pictures(
    lakehouse: Lakehouse, table: str, files: pa.Table, plot_columns: Sequence[str], dictionary: Dictionary
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "dagster/uri": lakehouse.path(table),
        "dagster/table_name": table,
        "dagster/column_schema": column_schema(lakehouse.schema(table), dictionary),
    }
    sample = _sample(lakehouse, table, files)
    if sample is not None:
        names = [name for name in sample.column_names if dictionary.meaning(name).is_identifier]
        metadata["sample"] = markdown_table(sample.slice(0, SAMPLE_ROWS), names)
        if plot_columns:
            metadata["distributions"] = histograms(sample, plot_columns)
    if days := _rows_per_day(files):
        metadata["rows_per_day"] = daily_plot(days)
    return metadata


def legible(metadata: Mapping[str, Any], table: str = "figures") -> dict[str, Any]:
    """Metadata with numbers as people write them.

    Dagster plots single numbers from run to run, and shows them as they are: fractions are rounded, and what people
    would still write in another way (1083249, 62747 bytes) is also in one table, under the name `table`.
    """
    plain = {name: _number(value) for name, value in metadata.items()}
    numbers = {name: rounded(n) if isinstance(n, float) else n for name, n in plain.items() if n is not None}
    others = {name: n for name, n in numbers.items() if not name.startswith("dagster/") and str(n) != written(n, name)}
    return {**metadata, **numbers, **({table: mapping_table(others)} if others else {})}


def _number(value: Any) -> int | float | None:
    value = value.value if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) else value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def column_schema(fields: Iterable[pa.Field], dictionary: Dictionary) -> dg.TableSchema:
    """Columns of a table with their types (`?` for null, one that is not known yet) and what each holds."""
    types = ((f.name, "?" if pa.types.is_null(f.type) else str(f.type)) for f in fields)
    return dg.TableSchema([dg.TableColumn(name, kind, dictionary.meaning(name).sentence) for name, kind in types])


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
    """Rows of the newest daily partition, or of any file of a table without partitions; None if it is empty."""
    filled = files.filter(pc.greater(files["num_records"], 0))
    if not filled.num_rows:
        return None
    if "partition.event_date" in filled.column_names:
        filled = filled.sort_by([("partition.event_date", "descending"), ("path", "ascending")])
    return lakehouse.first_rows(table, filled["path"][0].as_py(), SAMPLED_ROWS)


def markdown_table(rows: pa.Table, identifiers: Sequence[str] = ()) -> dg.MetadataValue:
    """A small Arrow table as a Markdown table, numbers as people write them.

    Args:
        identifiers: columns whose numbers are names, and stay as they are.
    """
    header = f"| {' | '.join(map(markdown, rows.column_names))} |\n|{'---|' * rows.num_columns}"

    def text(name: str, value: object) -> str:
        return markdown(str(value) if name in identifiers else written(value, name))

    lines = [f"| {' | '.join(text(name, value) for name, value in row.items())} |" for row in rows.to_pylist()]
    return dg.MetadataValue.md("\n".join([header, *lines]))


def mapping_table(values: Mapping[str, object], header: tuple[str, str] = ("what", "value")) -> dg.MetadataValue:
    """Names and values as a Markdown table."""
    texts = [written(value, f"{name} {header[1]}") for name, value in values.items()]
    return markdown_table(pa.table({header[0]: list(values), header[1]: texts}))


def daily_plot(days: Mapping[date, int]) -> dg.MetadataValue:
    """Rows per day as a picture."""
    import numpy as np

    figure, axes = figure_and_axes(1, 1, 6, 1.6)
    axes[0].fill_between(
        np.array(list(days), dtype="datetime64[D]"), list(days.values()), step="mid", alpha=0.6, color="#2e7d32"
    )
    axes[0].set_ylim(bottom=0)
    axes[0].set_title("rows per day", fontsize=8)
    return picture(figure)


def histograms(rows: pa.Table, columns: Sequence[str]) -> dg.MetadataValue:
    """Distributions of numeric columns as one picture."""
    import numpy as np

    shown = [c for c in columns if c in rows.column_names][:PLOTTED_COLUMNS]
    lines = max(1, -(-len(shown) // PLOTS_PER_ROW))
    figure, grid = figure_and_axes(lines, PLOTS_PER_ROW, 9, 1.7 * lines)
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, column in zip(grid, shown, strict=False):
        values = rows.column(column).drop_null().cast(pa.float64()).to_numpy()
        top = np.quantile(values, 0.99) if len(values) else 1.0
        counts, edges = np.histogram(np.minimum(values, top), bins=30)
        axes.stairs(counts, edges, fill=True, color="#1565c0")
        axes.set_title(column, fontsize=8)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=4)
    return picture(figure)


def figure_and_axes(lines: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure and its axes, with fixed margins: to lay out by measuring every label takes longer than to draw."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    inch = {"left": 0.45 / width, "right": 1 - 0.2 / width, "bottom": 0.3 / height, "top": 1 - 0.25 / height}
    figure.subplots_adjust(**inch, hspace=0.6, wspace=0.15)
    grid = [axes for line in figure.subplots(lines, columns, squeeze=False) for axes in line]
    for axes in grid:
        axes.tick_params(labelsize=7)
        # Every text of the axes would be measured once more to place a title or label that is in nobody's way.
        axes.set_title("", y=1.0)
        axes.xaxis.set_label_coords(0.5, -0.2)
        axes.yaxis.set_label_coords(-0.1, 0.5)
    return figure, grid


def picture(figure: Any, name: str = "plot") -> dg.MetadataValue:
    """A figure as metadata."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return png_picture(buffer.getvalue(), name)


def png_picture(png: bytes, name: str = "plot") -> dg.MetadataValue:
    """A PNG as metadata."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")
