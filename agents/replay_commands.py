"""`quorum replay` and its kin."""
