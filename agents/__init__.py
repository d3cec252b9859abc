"""Quorum: many agents, one book, weights that move on evidence."""

__version__ = "0.1.0"
