"""What the numbers of the suite "gpu" should reach on an H100 or H200."""

from device_memory import MEMORY_CASE
from goals import Goal
from idle import IDLE_SHAPES, idle_case
from leapfrogs import ACCEPT_SHARE
from shapes import CUDA_SHAPES, Shape

WIDE, DEEP, MANY, FEW = CUDA_SHAPES
LEAPFROG_MS = {
    WIDE: {"tf32": 2.4, "fp16": 1.6, "bf16": 1.6, "bf16x3": 3.4},
    DEEP: {"tf32": 1.3 * 3.01, "fp16": 1.3 * 1.80, "bf16": 1.3 * 1.80, "bf16x3": 1.3 * 4.39},
    MANY: {"fp16": 0.35, "bf16": 0.35},
    FEW: {"fp16": 0.030, "bf16": 0.030},
}
"""Of one leapfrog step of all chains; for three layers 1.3 times what the products take at full rate."""


def _leapfrog(shape: Shape, precision: str, limit: float) -> Goal:
    return Goal("leapfrog", "nishimori", str(shape), "time", precision, limit, "ms")


def _accept(precision: str) -> Goal:
    return Goal("leapfrog", "nishimori", str(WIDE), ACCEPT_SHARE, precision, 6.0, "%")


GPU_GOALS: tuple[Goal, ...] = (
    *(_leapfrog(shape, *limit) for shape, limits in LEAPFROG_MS.items() for limit in limits.items()),
    *(_accept(precision) for precision in LEAPFROG_MS[WIDE]),
    Goal("kick and drift", "nishimori", str(WIDE), "time", "fp32", 0.35, "ms"),
    Goal("normals", "nishimori", str(WIDE), "time", "fp32", 0.35, "ms"),
    Goal("normals", "nishimori, with squares", str(WIDE), "time", "fp32", 0.35, "ms"),
    *(
        Goal("first-layer product", "torch.mm", str(WIDE), "share of ceiling", precision, 75.0, "%", at_least=True)
        for precision in ("fp32", "tf32", "fp16", "bf16")
    ),
    *(Goal("idle", "nishimori", idle_case(shape), "idle", "bf16", 1.0, "%") for shape in IDLE_SHAPES),
    Goal("device memory", "nishimori", MEMORY_CASE, "growth", "fp32", 0.0, "B"),
    Goal("device memory", "nishimori", MEMORY_CASE, "growth of the peak", "fp32", 0.0, "B"),
)
