"""Features of an entity that has few facts, by one compiled pass over all of them."""
