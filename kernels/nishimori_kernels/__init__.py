"""The operations nishimori is built on: random numbers, network energies and their gradients.

A folder an operation; in each, `reference.py` is the definition and every other file an implementation
of it that the tests compare with the definition.
"""
