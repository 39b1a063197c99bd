"""Finished runs beside reference posteriors: exact draws, or the draws of another run.

``python -m exobench.reference RUN --reference exact`` is the command.
"""
