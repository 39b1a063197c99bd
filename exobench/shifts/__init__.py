"""Named distribution shifts: what finished methods say of test spectra that their training set does not hold.

``python -m exobench.shifts RUN [RUN ...] shift=all`` is the command; README.md says what each shift is.
"""
