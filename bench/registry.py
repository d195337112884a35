"""Every operation that is timed, as data. Another provider is one line."""

from functools import partial

import memory_providers as memory
import module_providers as module
import network_providers as network
import product_providers as products
from operation import Operation, Provider
from shapes import (
    CUDA_SHAPES,
    GRADIENT_SHAPES,
    MODULE_SHAPES,
    Bytes,
    Square,
    first_layer_work,
    forward_work,
    gradient_work,
    readout_work,
    transition_work,
)

from nishimori_kernels.energy.dispatch import FORCES

TRITON = "tests/kernels/test_triton.py"

OPERATIONS = (
    Operation(
        "energy gradient",
        ("tests/kernels/test_energy.py", "tests/kernels/test_networks.py"),
        GRADIENT_SHAPES,
        (
            Provider("nishimori", partial(network.gradient, "fp32"), lambda found: found.blocks, ours=True),
            *(
                Provider("nishimori", partial(network.gradient, mode), lambda found: found.blocks, mode, True, 0.02)
                for mode in FORCES
            ),
            Provider("torch autograd", partial(network.autograd_gradient, "fp32"), list),
            Provider("torch autograd", partial(network.autograd_gradient, "tf32"), list, "tf32", tolerance=0.02),
            Provider("torch.compile", partial(network.compiled_gradient, "fp32"), list),
            Provider("torch.compile", partial(network.compiled_gradient, "tf32"), list, "tf32", tolerance=0.02),
            *(
                Provider("matrix products alone", partial(products.gradient_products, name), precision=name)
                for name in products.PRODUCTS
            ),
        ),
        gradient_work,
        baseline="matrix products alone",
        cuda_cases=CUDA_SHAPES,
        cuda_tests=(f"{TRITON}::test_gradients_in_blocks_are_the_definition",),
    ),
    Operation(
        "transition",
        ("tests/samplers/test_integrators.py", "tests/samplers/test_hmc_stationarity.py"),
        GRADIENT_SHAPES,
        (
            Provider("gradients alone", network.gradients_alone, ours=True),
            Provider("nishimori", partial(network.transition, "fp32", False), ours=True),
            Provider("nishimori, observed", partial(network.transition, "fp32", True), ours=True),
            *(Provider("nishimori", partial(network.transition, mode, False), None, mode, True) for mode in FORCES),
        ),
        transition_work,
        baseline="gradients alone",
        cuda_cases=CUDA_SHAPES,
        cuda_tests=("tests/samplers/test_recorded.py",),
    ),
    Operation(
        "latent",
        ("tests/kernels/test_energy.py", "tests/kernels/test_networks.py"),
        GRADIENT_SHAPES,
        (
            Provider("nishimori", network.latent, lambda found: [found], ours=True),
            Provider("torch", network.reference_latent, lambda found: [found]),
            Provider("matrix products alone", products.forward_products),
        ),
        forward_work,
        baseline="matrix products alone",
    ),
    Operation(
        "readout",
        ("tests/kernels/test_readout.py", "tests/models/test_collapsed.py"),
        GRADIENT_SHAPES,
        (
            Provider("nishimori", network.collapsed, lambda found: [found[0], *found[1].blocks], ours=True),
            Provider("torch autograd", network.autograd_collapsed, lambda found: [found[0], *found[1]], "fp64"),
        ),
        readout_work,
        baseline="torch autograd fp64",
    ),
    Operation(
        "module gradient",
        ("tests/models/test_module.py",),
        MODULE_SHAPES,
        (
            Provider("ModuleTarget", module.module_target, module.values, ours=True),
            Provider("torch.func by hand", module.by_hand, module.values_by_hand),
            Provider("Posterior", module.posterior, module.values, ours=True),
        ),
        gradient_work,
        baseline="torch.func by hand",
    ),
    Operation(
        "normals",
        ("tests/kernels/test_rng.py", "tests/kernels/test_refresh.py"),
        GRADIENT_SHAPES,
        (
            Provider("nishimori", memory.normals, ours=True),
            Provider("nishimori, with squares", memory.momenta, ours=True),
            Provider("torch.randn", memory.torch_normals),
        ),
        lambda shape: 4 * shape.parameters,
        baseline="torch.randn",
        unit="GB/s",
        cuda_cases=CUDA_SHAPES,
        cuda_tests=(f"{TRITON}::test_a_quarter_of_a_million_normals_have_the_bits_of_numba",),
    ),
    Operation(
        "kick",
        ("tests/kernels/test_leapfrog.py",),
        GRADIENT_SHAPES,
        (
            Provider("nishimori", memory.kick, ours=True),
            Provider("torch", memory.torch_kick),
        ),
        lambda shape: 12 * shape.parameters,
        baseline="torch",
        unit="GB/s",
        cuda_cases=CUDA_SHAPES,
        cuda_tests=(f"{TRITON}::test_scaled_addition_is_the_definition_bit_for_bit",),
    ),
    Operation(
        "kick and drift",
        ("tests/kernels/test_leapfrog.py",),
        GRADIENT_SHAPES,
        (
            Provider("nishimori", memory.kick_and_drift, ours=True),
            Provider("torch", memory.torch_kick_and_drift),
        ),
        lambda shape: 20 * shape.parameters,
        baseline="torch",
        unit="GB/s",
        cuda_cases=CUDA_SHAPES,
        cuda_tests=(f"{TRITON}::test_a_kick_with_what_follows_is_the_definition_bit_for_bit",),
    ),
    Operation(
        "chain dot",
        ("tests/kernels/test_overlap.py",),
        GRADIENT_SHAPES,
        (
            Provider("nishimori", memory.our_chain_dot, lambda found: [found], "fp64", True, 1e-12),
            Provider("torch", memory.torch_chain_dot, lambda found: [found], "fp64", tolerance=1e-12),
        ),
        lambda shape: 8 * shape.parameters,
        baseline="torch fp64",
        unit="GB/s",
        cuda_cases=CUDA_SHAPES,
        cuda_tests=(f"{TRITON}::test_inner_products_are_the_definition",),
    ),
    Operation(
        "matrix product",
        (),
        (Square(2048),),
        tuple(
            Provider("torch.mm", partial(products.matrix_product, name), precision=name) for name in products.PRODUCTS
        ),
        lambda square: 2 * square.size**3,
        baseline="torch.mm",
        cuda_cases=(Square(8192),),
    ),
    Operation(
        "first-layer product",
        (),
        GRADIENT_SHAPES,
        tuple(
            Provider("torch.mm", partial(products.first_product, name), precision=name) for name in products.PRODUCTS
        ),
        first_layer_work,
        baseline="torch.mm",
        cuda_cases=CUDA_SHAPES,
    ),
    Operation(
        "deeper product",
        (),
        GRADIENT_SHAPES,
        tuple(
            Provider("torch.bmm", partial(products.deeper_product, name), precision=name) for name in products.PRODUCTS
        ),
        first_layer_work,
        baseline="torch.bmm",
        cuda_cases=CUDA_SHAPES,
    ),
    Operation(
        "memory copy",
        (),
        (Bytes(1 << 29),),
        (Provider("torch copy", memory.copy),),
        lambda block: 2 * block.count,
        baseline="torch copy",
        unit="GB/s",
        cuda_cases=(Bytes(1 << 32),),
    ),
)
REGISTRY = {operation.name: operation for operation in OPERATIONS}
