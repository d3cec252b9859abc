"""The embedded PostgreSQL and Redis, and systemd."""
