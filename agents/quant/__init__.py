"""Arrays in, arrays out: no I/O, and no records but those of core. The only folder that knows numba, scipy, cvxpy."""
