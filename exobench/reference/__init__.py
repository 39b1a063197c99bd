"""Reference posteriors: those that tasks publish, the limit that they set, and finished runs beside both.

``python -m exobench.reference --help`` names the commands.
"""
