"""Teachers, data sets and target densities, in torch."""
