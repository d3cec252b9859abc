"""Arrays in, arrays out: no I/O, no records. The only folder that knows numba, scipy and cvxpy."""
