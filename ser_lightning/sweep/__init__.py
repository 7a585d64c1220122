"""Many runs as one command: each job a run directory and a process of its own.

Hydra's sweepers and resolvers, jobs, the table at the end. Imports `compare` and below;
it starts `train.py` and imports none of it.
"""
