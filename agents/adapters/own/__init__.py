"""Strategies that a user brings, one adapter for each way to write one: whatever it is, it becomes an agent."""
