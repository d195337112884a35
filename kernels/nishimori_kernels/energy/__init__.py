"""Latent output and gradient of many networks at once: `reference` is the definition, `batched` the implementation."""
