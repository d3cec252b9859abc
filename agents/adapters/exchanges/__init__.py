"""Exchanges: their public prices, and one that is made up, for practice."""
