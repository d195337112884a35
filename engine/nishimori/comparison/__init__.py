"""Measured against predicted: the join, its tables and its figures."""
