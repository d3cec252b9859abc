"""Every touch of the outside: database, cache, files, broker, services. Adapters know `core` only."""
