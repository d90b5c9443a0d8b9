"""Texts as features: how a feature that is read word by word is called, what a word is, and what rows alone say of it.

The feature `note[words]` is the text in the column `note`, so that names alone tell it from a category, in a graph and
a manifest too. What a model learns of words is in `jobs.models.words`. It travels to clusters: numpy and pyarrow are
all it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Float32s, Ints
from jobs.models.features import FeatureRows, Features, hashed, text_hash
from jobs.models.vectors import WORDS, column_of, element_names

MOST_CHARACTERS = 1000
"""Of a text, the first ones are read: graphs hold as many words for each row of a batch as its longest text has."""
_APART = r"\x00-\x2F\x3A-\x40\x5B-\x60\x7B-\x{BF}\x{2000}-\x{206F}\x{3000}-\x{303F}"
WORD, BETWEEN = f"[^{_APART}]+", f"[{_APART}]+"
"""RE2 patterns of a word and of what parts words: whatever ASCII and the blocks of punctuation hold besides letters and
digits. Ranges, not classes, so that every version of Unicode agrees."""
BUCKETS = 16
"""Numbers of words by hash in which a text is compared over time."""


def text_feature(column: str) -> str:
    """Name of the feature that a text becomes."""
    return f"{column}{WORDS}"


def is_text(feature: str) -> bool:
    """Whether a feature is read word by word."""
    return feature.endswith(WORDS)


def read(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """What of a column of texts is read."""
    return pc.utf8_slice_codeunits(column.cast(pa.string()), 0, MOST_CHARACTERS)


def words_of(texts: pa.StringArray) -> tuple[pa.StringArray, Ints]:
    """The words of all texts, text by text, and the position of the text of each."""
    parts = pc.split_pattern_regex(texts, pattern=BETWEEN)
    words, of_text = pc.list_flatten(parts), pc.list_parent_indices(parts)
    is_word = pc.not_equal(words, "")
    return words.filter(is_word), of_text.filter(is_word).to_numpy().astype(np.int64)


def compared_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of `compared`: a text has several, called like elements of a vector."""
    return tuple(
        one for name in names
        for one in (element_names(column_of(name), 1 + BUCKETS) if is_text(name) else [name])
    )  # fmt: skip


def compared(rows: FeatureRows, names: Sequence[str]) -> Float32s:
    """Rows as numbers that they alone decide, for what compares rows of any two readings: categories hashed, of a text
    how many words it has, and how many in each of `BUCKETS` parts of all words."""
    texts = [place for place, name in enumerate(names) if is_text(name)]
    if not texts or not isinstance(rows, Features):
        return hashed(rows)
    others = [place for place in range(len(names)) if place not in texts]
    numbers = dict(zip(others, hashed(rows[:, others]).T[:, :, None], strict=True))
    counts = {place: _word_counts(rows.text(place)) for place in texts}
    return np.hstack([numbers[place] if place in numbers else counts[place] for place in range(len(names))])


def _word_counts(texts: pa.StringArray) -> Float32s:
    """Shape (texts, 1 + BUCKETS); NaN where a text is missing."""
    words, of_text = words_of(texts)
    encoded = pc.utf8_lower(words).dictionary_encode()
    buckets = np.array([text_hash(word) % BUCKETS for word in encoded.dictionary.to_pylist()], np.int64)
    places = of_text * BUCKETS + buckets[encoded.indices.to_numpy()]
    counts = np.bincount(places, minlength=len(texts) * BUCKETS).reshape(-1, BUCKETS)
    together: Float32s = np.column_stack([counts.sum(axis=1), counts]).astype(np.float32)
    together[texts.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return together
