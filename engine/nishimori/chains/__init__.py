"""Where chains start, the loop that moves them, and the files they leave."""
