"""Agents in processes of their own, which may hang, crash, flood and eat memory without harm to the desk."""
