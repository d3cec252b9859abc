"""Composition roots: settings -> adapters -> drivers. Only these folders know everyone."""
