"""The Triton kernels, in Triton's interpreter where `TRITON_INTERPRET=1`, else on the CUDA device.

The variable must be set before Triton is imported, and whoever runs these tests may have imported it, so one test runs
the rest of this file in a process of its own.
"""

import importlib.util
import math
import os
import subprocess
import sys

import pytest
import torch
from torch.nn.functional import normalize

from genocontrast.contrast.backends.chunked import Chunked
from genocontrast.contrast.backends.fused import Pull, by_engine
from genocontrast.contrast.backends.triton_device import Tile
from genocontrast.contrast.backends.triton_engine import Triton
from genocontrast.contrast.comparison import Comparison

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the package triton is absent")
# the interpreter is numpy, which warns where both sides of a `where` are computed
quiet = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def runs(test):
    """A test that runs kernels."""
    test = pytest.mark.gpu(quiet(needs_triton(test)))
    absent = not INTERPRETED and not torch.cuda.is_available()
    return pytest.mark.skipif(absent, reason="no CUDA device; the interpreter runs it in a process of its own")(test)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def names(size, kinds, seed=0):
    return torch.randint(0, kinds, (size,), generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def given(n, c):
    """Two positives of most rows, one of some and none of row 0."""
    first = torch.arange(n) % c
    second = torch.where(first % 3 == 0, -1, (first * 7 + 1) % c)
    return torch.stack([torch.where(first == 0, -1, first), second], 1).to(DEVICE)


def problem(n=20, c=None, d=6, temperature=0.1, **options):
    c = n if c is None else c
    rows, columns = normalize(numbers(n, d), dim=1) / temperature, normalize(numbers(c, d, seed=1), dim=1)
    return Comparison(rows, columns, **{"pairs": 0, "mirrored": n, **options})


def doubled(comparison):
    return Comparison(
        *(value.double() if torch.is_tensor(value) and value.is_floating_point() else value for value in comparison)
    )


def small(engine):
    """Tiles that the interpreter gets through, of which there are several in both directions."""
    if INTERPRETED:
        engine.tile, engine.gradient_tile = Tile(16, 16, 16, 4, 1), Tile(16, 32, 16, 4, 1)
        engine.programs = 2
    return engine


def pulls(comparison, found):
    """Some gradients of what was found, of both signs."""
    result = []
    for masses in found:
        if masses is None:
            result.append(None)
            continue
        sums = numbers(*masses.top.shape).to(masses.total)
        spread = None if comparison.labels is None else numbers(masses.top.shape[1], seed=2).to(masses.total)
        result.append(Pull.of(comparison, masses, sums, spread))
    return result


def gradients(engine, comparison, found):
    result = torch.zeros_like(comparison.rows), torch.zeros_like(comparison.columns)
    engine.gradients(*pulls(comparison, found), *result)
    return result


def off(value, expected):
    return ((value.double() - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def compare(comparison, engine, precise=None, tolerance=1e-6, slope=1e-5):
    precise = doubled(comparison if precise is None else precise)
    reference = Chunked(precise)
    found, expected = engine.statistics(), reference.statistics()
    highest = (precise.rows @ precise.columns.T).abs().amax().item()
    close = {"rtol": tolerance, "atol": tolerance * (1 + highest)}
    for direction, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        assert (mine is None) == (theirs is None)
        if mine is None:
            continue
        assert torch.isfinite(mine.top).all()
        assert mine.total.dtype == torch.float64
        torch.testing.assert_close(mine.log(), theirs.log(), **close)
        if comparison.labels is not None:
            torch.testing.assert_close(mine.positive_count, theirs.positive_count)
            summed = {"rtol": 1e-5, "atol": close["atol"] * len(comparison.columns)}
            torch.testing.assert_close(mine.positive_sum, theirs.positive_sum, **summed)
            if comparison.correct_positive:
                torch.testing.assert_close(mine.positive_bias, theirs.positive_bias, rtol=1e-5, atol=1e-5)
        if direction == 0:
            torch.testing.assert_close(mine.negative_count, theirs.negative_count)
            summed = {"rtol": 1e-5, "atol": close["atol"] * len(comparison.columns)}
            if not comparison.plain:
                torch.testing.assert_close(mine.negative_sum, theirs.negative_sum, **summed)
            torch.testing.assert_close(mine.best_negative.double(), theirs.best_negative, **close)
            torch.testing.assert_close(mine.best_positive.double(), theirs.best_positive, **close)
    for mine, theirs in zip(gradients(engine, comparison, found), gradients(reference, precise, expected), strict=True):
        assert off(mine, theirs) < slope


BIASED = {"bias": lambda n, c: numbers(c, seed=3), "row_bias": lambda n, c: numbers(n, seed=4)}
LABELS = {"pairs": None, "labels": lambda n, c: (names(c, 5)[:n], names(c, 5))}
IDS = {"ids": lambda n, c: (names(c, 6, 1)[:n], names(c, 6, 1))}
CASES = {
    "pairs": {},
    "one direction": {"mirrored": 0},
    "one row": {"n": 1},
    "one row of many columns": {"n": 1, "c": 23, **BIASED},
    "no pairs": {"pairs": None},
    "pairs further on": {"n": 17, "c": 38, "pairs": 17, "mirrored": 0},
    "pairs of which columns are no anchors": {"n": 17, "c": 38, "pairs": 19, "mirrored": 17},
    "bank": {"n": 18, "c": 39, **BIASED},
    "bias": BIASED,
    "biases of different sizes": {"bias": lambda n, c: 10 * numbers(c), "temperature": 0.02},
    "deep vectors": {"d": 40, "n": 33},
    "as wide as a power of two": {"d": 32},
    "cold": {"temperature": 0.01, "n": 35, "c": 37},
    "cold and biased": {"temperature": 0.01, "c": 37, **BIASED},
    "warm": {"temperature": 2.0},
    "hard": {"hardness": 0.5, **BIASED},
    "hard and cold": {"hardness": 2.0, "temperature": 0.01, "debias": 0.1},
    "debiased": {"debias": 0.1, "c": 25, **BIASED},
    "labels": {**LABELS, "n": 18, "c": 37},
    "labels, cold, all at once": {
        **LABELS,
        **IDS,
        **BIASED,
        "n": 18,
        "c": 37,
        "temperature": 0.01,
        "hardness": 0.5,
        "debias": 0.1,
    },
    "labels, positives uncorrected": {**LABELS, **BIASED, "correct_positive": False},
    "labels, one direction": {**LABELS, **BIASED, "mirrored": 0, "c": 33},
    "all labels the same": {"pairs": None, "labels": lambda n, c: (names(n, 1), names(c, 1))},
    "ids": {**IDS, "c": 37, **BIASED},
    "ids, a row that is masked": {
        "ids": lambda n, c: (names(n, 1), names(c, 1) + (torch.arange(c) > 30).to(DEVICE)),
        "c": 33,
    },
    "all ids the same": {"ids": lambda n, c: (names(n, 1), names(c, 1)), "temperature": 0.01},
    "given": {"pairs": None, "given": given, "c": 37},
    "given, cold": {"pairs": None, "given": given, **IDS, **BIASED, "temperature": 0.01, "hardness": 0.5},
}


@runs
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("times", [1] if INTERPRETED else [1, 30])
def test_it_finds_what_tiles_of_torch_find(name, times):
    case = {"n": 20, **CASES[name]}
    n, c = times * case.pop("n"), times * case.get("c", case.get("n", 0)) or None
    case.pop("c", None)
    options = {key: value(n, c or n) if callable(value) else value for key, value in case.items()}
    for key in ("pairs", "mirrored"):
        if options.get(key):
            options[key] *= times
    comparison = problem(n, c, **options)
    compare(comparison, small(Triton(comparison)))


@runs
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["bank", "cold", "labels, cold, all at once"])
def test_halves_are_exact_but_for_their_own_rounding(kind, name):
    """The log-sums are those of the rounded vectors; the gradients of logits are rounded once before their product."""
    case = {"c": None, **CASES[name]}
    n, c = case.pop("n", 20), case.pop("c")
    comparison = problem(n, c, **{k: value(n, c or n) if callable(value) else value for k, value in case.items()})
    cold = torch.linalg.vector_norm(comparison.rows, dim=1).amax()
    rounded = comparison._replace(
        rows=(comparison.rows / cold).to(kind).double() * cold, columns=comparison.columns.to(kind).double()
    )
    slope = 4e-3 if kind == torch.bfloat16 else 5e-4
    compare(comparison, small(Triton(comparison, kind)), rounded, slope=slope)


@runs
@pytest.mark.parametrize("temperature", [0.05, 0.01])
def test_halves_stay_near_the_vectors(temperature):
    """Bfloat16 keeps 8 digits: a cosine is off by about 2**-9 / sqrt(d), its logit by that over the temperature."""
    comparison = problem(32, 37, 24, temperature)
    found, expected = small(Triton(comparison, torch.bfloat16)).statistics(), Chunked(doubled(comparison)).statistics()
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.log() - theirs.log()).abs().amax() < 2**-8 / temperature


@runs
def test_loss_and_gradients_pass_through_autograd():
    comparison = problem(24, temperature=0.07)
    precise = doubled(comparison)
    found = []
    for engine, case in ((Triton, comparison), (Chunked, precise)):
        leaves = [case.rows.clone().requires_grad_(), case.columns.clone().requires_grad_()]
        case = case._replace(rows=leaves[0], columns=leaves[1])
        loss = by_engine(engine, case, None, None, case.rows.new_tensor(-1 / 0.07), (24, 24)).loss
        found.append([loss, *torch.autograd.grad(3 * loss, leaves)])
    assert all(off(mine, theirs) < 1e-5 for mine, theirs in zip(*found, strict=True))


@runs
@pytest.mark.parametrize("highest", [16.0, 60.0])
def test_long_sums_keep_what_single_additions_would_lose(highest):
    """Each tile adds less than half of the last digit of the first candidate, with a maximum taken off or not."""
    tile = small(Triton(problem())).tile.candidates
    columns = torch.full((500 * tile, 1), highest - 19.57 - math.log(tile / 16), device=DEVICE)
    columns[0] = highest
    comparison = Comparison(torch.ones(1, 1, device=DEVICE), columns, None)
    found, _ = small(Triton(comparison)).statistics()
    expected = torch.logsumexp(columns.double(), 0)
    assert (found.log()[0] - expected).abs() < 5e-6


@runs
def test_a_single_positive_has_no_spread():
    """Not even what rounding leaves, which would outweigh the gradients of an anchor that is nearly solved."""
    label = torch.arange(20, device=DEVICE)
    comparison = problem(pairs=None, labels=(label, label), temperature=0.03)
    engine = small(Triton(comparison))
    some = numbers(20).double()
    wanted = [Pull.of(comparison, found, torch.zeros_like(found.total), some) for found in engine.statistics()]
    result = torch.zeros_like(comparison.rows), torch.zeros_like(comparison.columns)
    engine.gradients(*wanted, *result)
    assert not any(value.any() for value in result)


@runs
def test_two_runs_agree_to_the_last_bit():
    comparison = problem(40, 50, temperature=0.05)
    runs = []
    for _ in range(2):
        engine = small(Triton(comparison))
        found = engine.statistics()
        runs.append([found[0].log(), found[1].log(), *gradients(engine, comparison, found)])
    assert all(torch.equal(mine, other) for mine, other in zip(*runs, strict=True))


@runs
def test_a_vector_that_is_no_number_makes_the_loss_none():
    comparison = problem()
    comparison.rows[3, 2] = torch.nan
    rows, columns = small(Triton(comparison)).statistics()
    assert rows.log()[0, 3].isnan()
    assert columns.log()[0].isnan().any()


@runs
def test_zero_vectors_have_logits_of_zero():
    comparison = problem(temperature=0.05)
    comparison = comparison._replace(rows=torch.zeros_like(comparison.rows))
    for kind in (torch.float32, torch.bfloat16):
        compare(comparison, small(Triton(comparison, kind)), slope=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@needs_triton
@pytest.mark.gpu
def test_the_host_never_waits_for_the_device():
    comparison = problem(1000, 1500)
    wanted = pulls(comparison, Triton(comparison).statistics())
    torch.cuda.synchronize()
    result = torch.zeros_like(comparison.rows), torch.zeros_like(comparison.columns)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for kind in (torch.float32, torch.bfloat16):
            engine = Triton(comparison, kind)
            engine.statistics()
            engine.gradients(*wanted, *result)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@needs_triton
@pytest.mark.gpu
def test_memory_grows_with_the_vectors_only():
    comparison = problem(65536, d=128, temperature=0.05)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    Triton(comparison, torch.bfloat16).statistics()
    assert torch.cuda.max_memory_allocated() - before < 110e6


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="is itself run in the interpreter")
def test_all_of_this_in_the_interpreter():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
    assert " passed" in run.stdout
