"""Stand-ins in memory for what is kept in the database."""
