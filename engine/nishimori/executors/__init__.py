"""Where the points of an experiment are run."""
