"""Many runs as one command: each job a run directory of its own, and a process of its own."""
