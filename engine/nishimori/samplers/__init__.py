"""Markov kernels that leave a target invariant: one algorithm a file."""
