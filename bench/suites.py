"""Every suite, as data. Another step is one entry."""

from collections.abc import Callable

import torch
from common import Row, print_rows, row_of
from device_memory import device_memory
from gpu_goals import GPU_GOALS
from gpu_peers import gpu_peers
from idle import idle
from leapfrogs import leapfrogs
from measured import measured, report
from registry import REGISTRY
from suite import Found, Step, Suite
from verify import gpu_failure

PRODUCTS = ("first-layer product", "deeper product")
UPDATES = ("kick", "kick and drift", "normals")


def operations(*names: str, cases: int | None = None) -> Callable[[int, torch.device], Found]:
    """Operations of the registry on their first `cases` cases, or all."""

    def measure(repeats: int, device: torch.device) -> Found:
        rows: list[Row] = []
        for name in names:
            operation = REGISTRY[name]
            for case in operation.cases_on(device)[:cases]:
                found, wrong = measured(operation, case, repeats, device)
                if wrong:
                    return rows, wrong
                print(name, end=", ")
                report(found, operation.baseline)
                rows += found
        return rows, ""

    return measure


def ceilings(repeats: int, device: torch.device) -> Found:
    rows, wrong = operations("memory copy", "matrix product", *PRODUCTS)(repeats, device)
    shares = shares_of_ceiling(rows, device)
    print_rows(shares)
    return rows + shares, wrong


def shares_of_ceiling(rows: list[Row], device: torch.device) -> list[Row]:
    """The rate of products of our layers over that of a large product in the same format, %."""
    rates = [row for row in rows if row["metric"] == "rate"]
    largest = {row["precision"]: float(row["value"]) for row in rates if row["operation"] == "matrix product"}
    return [
        row_of(
            *(row["operation"], row["provider"], row["case"], "share of ceiling", "%"),
            100 * float(row["value"]) / largest[row["precision"]],
            device,
            precision=row["precision"],
        )
        for row in rates
        if row["operation"] in PRODUCTS and row["precision"] in largest
    ]


def tests(repeats: int, device: torch.device) -> Found:
    del repeats, device
    return [], gpu_failure()


GPU = (
    Step("ceilings", "a copy, and products of matrices in every format, large and of the sizes of layers", ceilings),
    Step("tests", "kernels beside their definitions, trajectories beside the CPU's, replays", tests, gate=True),
    Step("gradients", "ours, autograd, torch.compile, and the products alone", operations("energy gradient")),
    Step("leapfrogs", "transitions of 10 and 20 steps, and what a step takes", leapfrogs),
    Step("updates", "moves and momenta of 64 million parameters", operations(*UPDATES, cases=1)),
    Step("peers", "gradients and transitions of JAX and BlackJAX, by turns with ours", gpu_peers),
    Step("idle", "the share of time in which no kernel runs, over 100 transitions", idle),
    Step("memory", "memory before, after and at its peak over 100,000 transitions of a tiny network", device_memory),
)
SUITES = {"gpu": Suite(GPU, GPU_GOALS)}
