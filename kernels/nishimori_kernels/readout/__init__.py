"""A Gaussian readout integrated out: evidence of the labels given the hidden layer, and the readout's posterior.

`reference` is the definition; `weight_form` and `kernel_form` are implementations, best for narrow and wide layers.
"""
