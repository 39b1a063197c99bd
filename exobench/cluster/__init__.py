"""Commands as jobs of a Slurm cluster: sent, watched, and started again where they left off."""
