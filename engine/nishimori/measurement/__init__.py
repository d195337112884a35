"""What is read off the chains, with error bars, convergence diagnostics and exact checks."""
