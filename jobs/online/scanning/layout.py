"""Where what stands in a program and in its state: both are one array of words, as arrays cost most of a short call.

A program says what is computed of an entity's facts (`jobs.online.scanning.program` writes it), a state is where. A
name below is the place of a word in an entry, or of an entry's end; the last name of a group is the entry's size.
"""

MOST = 1024
"""Facts of a kind that are scanned at most."""
ROW = MOST + 72
"""Room for the times, values or running sums of one selection: some more than they need, so that neighbours do not keep
each other out of the caches of the processor."""
ROWS = 6
"""Limbs of one column's sums that are kept apart at most."""
BUCKETS = 2048
"""Of a table of different values, of which there are at most half as many."""
MOST_MOVES = 64 * MOST
"""Facts that are more shuffled than that are not worth to be put in order each time."""

(
    SELECTIONS, SELECTIONS_END, CONDITIONS, STORES, STORES_END, TOTALS, OPERATIONS, OPERATIONS_END, EMPTIES,
    RATIOS_AT, RATIOS_END, EVENT_WORDS, LABEL_WORDS, NEEDS,
    SIZES, TIMES, VALUES, SUMS, LEVELS, USED, RESULTS, NUMBERS, ORDER, LINES, KEYS, MARKS, ROOM, HEADER,
) = range(28)  # fmt: skip
"""The first words of a program: where its sections are, how many words a line of events and of labels has, and what
facts must be like; then where the parts of a state are, whose first word is the last mark that was used."""
RATIOS_KNOWN, ONE_BY_ONE = 1, 2
"""What facts must be like: the ratios of events are known; those of one event time became known one by one."""

OF, NULL, NULL_KIND, WHERE, WHERE_END, SUMMED, SUMMED_END, STAGE, BACK, SELECTION = range(10)
"""A selection: its kind of facts (0: events), a column that is not null or -1, its conditions and totals, how many
ratios of an event it waits for, and how far its windows look back."""
WORD, COMPARED_AS, COMPARISON, CONSTANTS, CONSTANTS_END, CONDITION = range(6)
"""A condition: the column, and where the numbers are to compare it with."""
STORED_IN, STORED, STORED_AS, STORE = range(4)
"""Values that are kept: of which selection, of which column."""
TOTALED, TOTALED_AS, IS_SQUARED, TOTAL = range(4)
"""Running sums: of which column, of the numbers or of their squares."""
(
    FUNCTION, PHASE, SELECTED, OTHER, COLUMN, SQUARES, DELAY, REACH, LAST, SHARE, OF_SHARE, HOW, PLACE, OPERATION,
) = range(14)  # fmt: skip
"""An operation: what is found when, of which selections (of a trend: operations), of which store or totals, in which
window, which percentile, and where it stands among the features, or -1."""
NUMERATOR, NUMERATOR_KIND, LEVEL, RATIO, LARGEST, RATIO_SIZE = range(6)
"""A ratio: its column over an operation's value, the column that it is, and where its bound is."""

INTEGER, DOUBLE, BOOLEAN, OF_DOUBLES = range(4)
"""What a column holds; the last: integers that are compared as doubles."""
EQUAL, UNEQUAL, LESS, AT_MOST, MORE, AT_LEAST, AMONG = range(7)
COUNT, SUM, MEAN, STD, MIN, MAX, DISTINCT, PERCENTILE, LAST_AGE, FIRST_AGE, RATE, STREAK, STREAK_AGE, TREND = range(14)
LINEAR, LOWER, HIGHER, NEAREST = range(4)
