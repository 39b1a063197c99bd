"""Fails with an error of its own while it is imported."""

raise RuntimeError("no licence file was found")
