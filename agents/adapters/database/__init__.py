"""What is kept in TimescaleDB: bars, journal, weights, jobs, mail that waits; one module for each family of tables."""
