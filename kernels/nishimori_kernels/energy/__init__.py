"""Latent output and gradient of many networks at once: `reference` is the definition, `batched` and `blocked` the
implementations."""
