"""Dagster around the work: definitions, runs, services and the command `evergreen`."""

import gc

# Imports and runs make objects by the million, and most of them stay: the default of Python, to look through new ones
# after every 700, took a sixth of a start. Servers go on with thresholds of their own.
gc.set_threshold(100_000)
