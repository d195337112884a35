"""Two Gaussians in dimension 8, twelve standard deviations apart."""
