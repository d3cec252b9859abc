"""The dashboard: pages of one desk, served on this machine, that change nothing."""
