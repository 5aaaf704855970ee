"""The cache: who may be near a probe. Built by a process of its own, measured, and never trusted with a score."""
