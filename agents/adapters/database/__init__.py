"""Everything that is kept in TimescaleDB: tables, journal, bars, weights, jobs, mail that waits; one module for each table family."""
