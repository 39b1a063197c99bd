"""The benchmark: a plan of many runs, made in one command that can be stopped and goes on."""
