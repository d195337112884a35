"""Random numbers by address: known answers, equal bits everywhere, and the law of the draws."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from nishimori_kernels import rng
from nishimori_kernels.rng import cpu, reference, torch_ops
from nishimori_kernels.rng.address import Address
from nishimori_kernels.rng.draws import Implementation
from nishimori_kernels.rng.streams import Stream

IMPLEMENTATIONS: list[Implementation] = ["numba", "torch"]
KEY = 0x0123456789ABCDEF
STEP = 7

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, outputs.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def normals(instances, chains, count, first=0, *, key=KEY, stream: int = Stream.MOMENTUM, step=STEP, by=None):
    out = torch.full((len(instances), len(chains), count), torch.nan, dtype=torch.float32)
    return rng.fill_normals(out, key, stream, step, instances, chains, first, implementation=by)


def assert_same_bits(a: torch.Tensor, b: torch.Tensor):
    assert a.dtype == b.dtype == torch.float32
    assert torch.equal(a.view(torch.int32), b.view(torch.int32))


@pytest.mark.parametrize(("counter", "key", "outputs"), KNOWN_ANSWERS)
def test_reference_gives_the_known_answers(counter, key, outputs):
    assert reference.philox(counter, key) == outputs


@pytest.mark.parametrize(("counter", "key", "outputs"), KNOWN_ANSWERS)
@pytest.mark.parametrize("module", [cpu, torch_ops])
def test_kernels_give_the_known_answers(module, counter, key, outputs):
    quad, step, chain, tag = counter
    address = Address(key[0], key[1], step, np.array([chain], np.uint64), np.array([tag], np.uint64))
    out = torch.full((1, 1, 4), -1, dtype=torch.int64)
    module.fill_bits(out.numpy() if module is cpu else out, address, 4 * quad)
    assert tuple(out.flatten().tolist()) == outputs


def test_a_draw_sits_at_the_documented_counter():
    instance, chain, element = 5, 3, 4 * 11 + 2
    counter = (11, STEP, chain, instance | Stream.ACCEPT << 24)
    expected = reference.philox(counter, (KEY & 0xFFFFFFFF, KEY >> 32))[2]
    for by in IMPLEMENTATIONS:
        found = rng.bits(KEY, Stream.ACCEPT, STEP, [instance], [chain], 1, element, implementation=by)
        assert found.item() == expected


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
@pytest.mark.parametrize("first", [0, 1, 2, 3, 5, 510])
@pytest.mark.parametrize("count", [0, 1, 63, 100, 1025])
def test_bits_equal_the_reference(by, first, count):
    where = (KEY, Stream.TRAIN_INPUTS, STEP, [2, 9], [1, 0, 2**32 - 1])
    expected = reference.bits(*where, count, first)
    assert expected.shape == (2, 3, count)
    assert np.array_equal(rng.bits(*where, count, first, implementation=by).numpy(), expected)


@pytest.mark.parametrize("first", [0, 1, 2, 3, 5, 2**34 - 1025])
@pytest.mark.parametrize("count", [0, 1, 63, 100, 1025])
def test_numba_and_torch_normals_have_equal_bits_at_awkward_sizes(first, count):
    ids = ([2, 9], [1, 0, 2**32 - 1])
    assert_same_bits(normals(*ids, count, first, by="numba"), normals(*ids, count, first, by="torch"))


def test_numba_and_torch_normals_have_equal_bits_over_many():
    ids = (range(3), range(2))
    assert_same_bits(normals(*ids, 50_003, 1, by="numba"), normals(*ids, 50_003, 1, by="torch"))


def test_chunks_of_the_torch_operations_do_not_change_the_draws(monkeypatch):
    whole = normals([0, 4], range(3), 101, 3, by="torch")
    for quads in (1, 7, 30, 60):
        monkeypatch.setattr(torch_ops, "CHUNK", quads)
        assert_same_bits(normals([0, 4], range(3), 101, 3, by="torch"), whole)


def test_extreme_words_have_equal_bits_and_accurate_normals():
    powers = [1 << b for b in range(32)]
    roots = [int(2 ** (b + 0.5)) for b in range(32)]
    words = sorted({(w + d) % 2**32 for w in powers + roots for d in (-2, -1, 0, 1, 2)})
    x = torch.tensor(words).repeat_interleave(len(words))
    y = torch.tensor(words).repeat(len(words))
    found = torch.stack(torch_ops.box_muller(x, y))
    radius = torch.tensor([float(cpu._radius(np.uint32(w))) for w in words], dtype=torch.float32)
    turns = torch.tensor([cpu._cos_sin(np.uint32(w)) for w in words], dtype=torch.float32)
    assert_same_bits(found, (radius[:, None] * turns.T[:, None, :]).flatten(1))
    exact = torch.stack([torch.from_numpy(z) for z in reference.box_muller(x.numpy().astype("u8"), y.numpy())])
    # The second term is the float64 round-off of the reference's own cosine and sine at their zeros.
    assert ((found - exact).abs() <= 4e-7 * exact.abs() + 1e-14).all()


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_normals_approximate_the_float64_definition(by):
    exact = torch.from_numpy(reference.normals(KEY, Stream.MOMENTUM, STEP, [6], [0, 1], 131_073, 2))
    found = normals([6], [0, 1], 131_073, 2, by=by).to(torch.float64)
    assert ((found - exact).abs() <= 4e-7 * exact.abs() + 1e-14).all()


def deviations(z: np.ndarray) -> dict[str, float]:
    """Deviations from independent N(0, 1), in standard deviations (KS: times sqrt of the count)."""
    count = z.size
    cdf, ranks = ndtr(np.sort(z)), np.arange(count + 1) / count
    pairs = z.reshape(-1, 2)
    return {
        "mean": z.mean() * count**0.5,
        "variance": (np.mean(z**2) - 1) * (count / 2) ** 0.5,
        "third moment": np.mean(z**3) * (count / 15) ** 0.5,
        "fourth moment": (np.mean(z**4) - 3) * (count / 96) ** 0.5,
        "correlation in a pair": np.mean(pairs[:, 0] * pairs[:, 1]) * (count / 2) ** 0.5,
        "squares in a pair": np.mean((pairs[:, 0] ** 2 - 1) * (pairs[:, 1] ** 2 - 1)) * (count / 8) ** 0.5,
        "correlation of quads": np.mean(z[4:] * z[:-4]) * (count - 4) ** 0.5,
        "Kolmogorov-Smirnov": max((ranks[1:] - cdf).max(), (cdf - ranks[:-1]).max()) * count**0.5,
    }


# Five standard deviations each; 2.5 for Kolmogorov-Smirnov, which has p-value 2 exp(-2 * 2.5**2) = 7e-6.
def excessive(z: np.ndarray) -> set[str]:
    found = deviations(z)
    return {name for name, d in found.items() if abs(d) > (2.5 if name == "Kolmogorov-Smirnov" else 5)}


@pytest.fixture(scope="module")
def million() -> np.ndarray:
    return normals(range(4), range(4), 65_536).flatten().numpy().astype(np.float64)


def test_normals_are_independent_standard_normals(million):
    assert excessive(million) == set()
    # Along chains and instances as well as along elements.
    assert excessive(np.ascontiguousarray(million.reshape(16, -1).T).ravel()) == set()


def test_wrong_laws_are_noticed(million):
    assert {"variance", "fourth moment", "Kolmogorov-Smirnov"} <= excessive(1.02 * million)
    assert {"mean", "Kolmogorov-Smirnov"} <= excessive(million + 0.01)
    assert "squares in a pair" in excessive(np.where(np.arange(million.size) % 2, np.roll(million, 1), million))
    assert "correlation of quads" in excessive((million + 0.01 * np.roll(million, 4)) / 1.00005)


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_a_row_does_not_depend_on_its_batch(by):
    many = normals(range(6), range(5), 103, by=by)
    assert_same_bits(normals([2], [3], 103, by=by)[0, 0], many[2, 3])
    assert_same_bits(normals([4, 2, 4], [3, 0], 103, by=by), many[[4, 2, 4]][:, [3, 0]])
    assert_same_bits(normals([2], [3], 60, 43, by=by)[0, 0], many[2, 3, 43:])


def test_every_part_of_the_address_changes_the_draws():
    base = {"key": KEY, "stream": 6, "step": STEP}
    draws = [normals([1], [2], 64, **base), normals([2], [2], 64, **base), normals([1], [1], 64, **base)]
    draws += [normals([1], [2], 64, 64, **base)]
    draws += [normals([1], [2], 64, **base | change) for change in ({"stream": 7}, {"step": STEP + 1})]
    draws += [normals([1], [2], 64, **base | {"key": KEY ^ bit}) for bit in (1, 1 << 63)]
    values = torch.stack(draws).flatten()
    assert values.unique().numel() == values.numel()


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3, 7), (3, 2), (1, 2, 10_001), (0, 2, 5), (2, 2, 0)])
def test_out_is_overwritten_and_nothing_else(by, dtype, shape):
    size = int(np.prod(shape))
    memory = torch.full((size + 16,), torch.nan, dtype=dtype)
    out = memory[8 : 8 + size].view(shape)
    ids = (range(shape[0]), range(shape[1]))
    assert rng.fill_normals(out, KEY, 6, STEP, *ids, implementation=by) is out
    assert memory.isnan().sum() == 16 and not out.isnan().any()
    flat = normals(*ids, int(np.prod(shape[2:])), by=by)
    assert_same_bits(out.to(torch.float32).view(flat.shape), flat)
    assert torch.equal(out.to(torch.float32).to(dtype), out)


def test_ids_may_be_arrays_tensors_or_ranges():
    expected = normals([0, 1], [4, 5, 6], 9)
    assert_same_bits(normals(np.arange(2, dtype=np.int32), torch.arange(4, 7), 9), expected)
    assert_same_bits(normals(range(2), (4, 5, 6), 9), expected)


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_uniforms_are_midpoints_of_the_open_interval(by):
    where = (KEY, Stream.ACCEPT, STEP, range(40), range(50))
    u = rng.uniforms(*where, element=6, implementation=by)
    words = rng.bits(*where, 1, 6, implementation=by)[:, :, 0]
    assert u.dtype == torch.float64 and u.shape == (40, 50)
    assert torch.equal((u * 2.0**32 - 0.5).to(torch.int64), words)
    assert 0 < u.min() and u.max() < 1
    assert abs(u.mean() - 0.5) < 5 / (12 * u.numel()) ** 0.5


def test_the_ends_of_the_open_interval_are_not_reached(monkeypatch):
    ends = torch.tensor([[[0], [2**32 - 1]]])
    monkeypatch.setattr("nishimori_kernels.rng.draws.bits", lambda *_, **__: ends)
    assert rng.uniforms(KEY, 7, STEP, [0], [0, 1]).tolist() == [[2.0**-33, 1 - 2.0**-33]]


@pytest.mark.parametrize(
    "change",
    [
        {"instances": [2**24]},
        {"instances": [-1]},
        {"instances": [0.5]},
        {"instances": [[0]]},
        {"chains": [2**32]},
        {"chains": [-1]},
        {"chains": [2**70]},
        {"chains": [True]},
        {"step": 2**32},
        {"step": -1},
        {"step": 0.0},
        {"stream": 256},
        {"stream": -1},
        {"key": 2**64},
        {"key": -1},
        {"first_element": 2**34 - 1},
        {"first_element": -1},
        {"implementation": "cuda"},
    ],
)
def test_bad_addresses_are_refused(change):
    good = {"key": KEY, "stream": 7, "step": STEP, "instances": [0], "chains": [0], "first_element": 0}
    with pytest.raises(ValueError, match=r"[:;] .*\.$"):
        rng.fill_normals(torch.empty(1, 1, 2), **good | change)


@pytest.mark.parametrize(
    "out",
    [
        torch.empty(2, 1, 2),
        torch.empty(1),
        torch.empty(1, 1, 4)[:, :, ::2],
        torch.empty(1, 1, 2, dtype=torch.float16),
    ],
)
def test_bad_outputs_are_refused(out):
    with pytest.raises(ValueError, match=r": .*\.$"):
        rng.fill_normals(out, KEY, 7, STEP, [0], [0])


def test_numba_is_refused_off_the_cpu():
    with pytest.raises(ValueError, match="Numba does not write"):
        rng.bits(KEY, 7, STEP, [0], [0], 4, device="meta", implementation="numba")


def test_random_key_is_the_documented_digest():
    # Origin: GNU coreutils, e.g. printf 'nishimori\0000\000' | b2sum; first 8 bytes, little endian.
    assert rng.random_key(0) == int.from_bytes(bytes.fromhex("d96f9a736f61718e"), "little")
    assert rng.random_key(17, "d=100/a=2") == int.from_bytes(bytes.fromhex("726b993d952827a2"), "little")
    assert rng.random_key(np.int64(17), "d=100/a=2") == rng.random_key(17, "d=100/a=2")
    assert len({rng.random_key(1, "1"), rng.random_key(11), rng.random_key(1), rng.random_key(1, "\x001")}) == 4


@pytest.mark.parametrize("seed", [-1, 1.0, "1", True, None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=r"seed .* give an integer of at least 0\.$"):
        rng.random_key(seed)


def test_stream_numbers_never_change():
    names = "TEACHER TRAIN_INPUTS TRAIN_NOISE TEST_INPUTS TEST_NOISE PRIOR_START MOMENTUM ACCEPT JITTER"
    names += " CALIBRATION_START CALIBRATION_MOMENTUM CALIBRATION_ACCEPT CALIBRATION_JITTER"
    assert [(s.name, s.value) for s in Stream][:13] == [(n, i) for i, n in enumerate(names.split())]


def run_python(code: str, **environment: str) -> str:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, check=True, text=True, capture_output=True).stdout


DIGEST = """
import hashlib, warnings
import numpy as np, torch
from nishimori_kernels import rng
from nishimori_kernels.rng import cpu
warnings.simplefilter("error")
np.seterr(all="raise")
normals = rng.fill_normals(torch.empty(2, 2, 530), 2**64 - 3, 6, 2**32 - 1, [0, 2**24 - 1], [3, 2**32 - 1], 5)
bits = rng.bits(2**64 - 3, 12, 0, [1], [2], 30, 2**34 - 30)
print(hashlib.sha256(normals.numpy().tobytes() + bits.numpy().tobytes()).hexdigest())
"""


def test_numba_gives_the_same_bits_with_its_compiler_off():
    ids = ([0, 2**24 - 1], [3, 2**32 - 1])
    z = normals(*ids, 530, 5, key=2**64 - 3, stream=6, step=2**32 - 1, by="numba")
    words = rng.bits(2**64 - 3, 12, 0, [1], [2], 30, 2**34 - 30, implementation="numba")
    expected = hashlib.sha256(z.numpy().tobytes() + words.numpy().tobytes()).hexdigest()
    assert run_python(DIGEST, NUMBA_DISABLE_JIT="1").strip() == expected


def test_keys_and_streams_need_neither_torch_nor_numba():
    code = "import sys; sys.modules |= dict.fromkeys(['torch', 'numba', 'numpy'])\n"
    code += "from nishimori_kernels.rng import Stream, random_key\n"
    code += "print(random_key(0), int(Stream.JITTER))"
    assert run_python(code).split() == [str(rng.random_key(0)), "8"]


@pytest.mark.gpu
def test_cuda_gives_the_same_bits_as_the_cpu():
    ids = (range(3), range(2))
    out = torch.full((3, 2, 50_003), torch.nan, dtype=torch.float32, device="cuda")
    rng.fill_normals(out, KEY, Stream.MOMENTUM, STEP, *ids, 1)
    assert_same_bits(out.cpu(), normals(*ids, 50_003, 1, by="numba"))
