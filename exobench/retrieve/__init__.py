"""Retrieval of a spectrum of one's own with a finished run: ``python -m exobench.retrieve SPECTRUM run=FOLDER``."""
