"""History through the same step, on a simulated clock, in segments that are each one transaction."""
