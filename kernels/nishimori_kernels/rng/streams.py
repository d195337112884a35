"""The random streams: every draw of the package is made in one of these.

The number of a stream is part of the address of its draws, so it is given once and never changed or reused:
a new stream takes the next free number (at most 255).
"""

from enum import IntEnum


class Stream(IntEnum):
    """What is drawn; 8 bits of the Philox counter."""

    TEACHER = 0  # weights of the teacher networks
    TRAIN_INPUTS = 1  # inputs of the training set, element = row * dim + column
    TRAIN_NOISE = 2  # label noise of the training set, element = row
    TEST_INPUTS = 3  # inputs of the test set, element = row * dim + column
    TEST_NOISE = 4  # label noise of the test set, element = row
    PRIOR_START = 5  # starting positions drawn from the prior
    MOMENTUM = 6  # momenta and Langevin noise, element = parameter
    ACCEPT = 7  # the uniform of the accept-reject test
    JITTER = 8  # the common jitter of the number of steps, instance = chain = 0
    CALIBRATION_START = 9  # as PRIOR_START, for the calibration chains
    CALIBRATION_MOMENTUM = 10  # as MOMENTUM, for the calibration chains
    CALIBRATION_ACCEPT = 11  # as ACCEPT, for the calibration chains
    CALIBRATION_JITTER = 12  # as JITTER, for the calibration chains
    MOMENTUM_START = 13  # momenta that a sampler keeps from step to step, at its start
    SWAP = 14  # the uniforms of replica exchange, chain = the lower of the two replicas
    READOUT = 15  # readouts drawn given the layers below, element = readout weight
    CALIBRATION_MOMENTUM_START = 16  # as MOMENTUM_START, for the calibration chains
    CALIBRATION_SWAP = 17  # as SWAP, for the calibration chains
    CALIBRATION_READOUT = 18  # as READOUT, for the calibration chains
    ANNEALED_START = 19  # prior draws that are annealed towards the posterior, for the evidence
    ANNEALED_MOMENTUM = 20  # as MOMENTUM, for annealed importance sampling
    ANNEALED_ACCEPT = 21  # as ACCEPT, for annealed importance sampling
    ANNEALED_JITTER = 22  # as JITTER, for annealed importance sampling
    KERNEL_WEIGHTS = 23  # networks over which the kernel of the last layer is averaged, step = draw
    PREDICTIVE = 24  # label noise of predictive draws, step = draw, element = row of the test set
    REFERENCE_PRIOR = 25  # networks of the prior whose overlaps with the teacher are chance, element = parameter
    FEATURES = 26  # frozen rows of random features, element = row * dim + column
    GENERATOR = 27  # weights of random generators of inputs, step = layer, element = row * columns + column
    GENERATOR_LATENTS = 28  # latents by which moments of inputs are estimated, element = row * numbers + column
    KERNEL_FLOW = 35  # networks of the prior that draws flow to, step = draw, element = parameter
    KERNEL_FLOW_TIME = 36  # the uniform of how far a draw has flown, step = draw
    HELD_OUT = 33  # the outputs of a Gaussian process that stands for a teacher, element = input
