"""Every option on every backend, against loops over single pairs in float64."""

import pytest
import torch
from brute_force import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.contrast import info_nce
from genocontrast.contrast.backends import chunked

VECTORS = ("queries", "keys", "hard", "bank", "temperature")


@pytest.fixture(scope="module", autouse=True)
def _small_tiles():
    # so small that every problem has several tiles, and several blocks of rows
    before = chunked.TILE, chunked.LEAST_ROWS, chunked.KEPT
    chunked.TILE, chunked.LEAST_ROWS, chunked.KEPT = (3, 4), 5, 1
    yield
    chunked.TILE, chunked.LEAST_ROWS, chunked.KEPT = before


@st.composite
def problems(draw, coldest=0.05, least_d=2):
    n, d, m, h = (draw(st.integers(low, high)) for low, high in ((1, 11), (least_d, 6), (0, 6), (0, 3)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    options = {"queries": normal(n, d), "keys": normal(n, d), "symmetric": draw(st.booleans())}
    options["temperature"] = torch.tensor(draw(st.floats(coldest, 2)), dtype=torch.float64)
    if draw(st.booleans()):
        options["bank"] = normal(m, d)
    c = n + len(options.get("bank", []))
    if draw(st.booleans()):
        options["hard"] = normal(n, h, d)
        if draw(st.booleans()):
            options["hard_weight"] = normal(n, h).clamp(min=0)
    if draw(st.booleans()):
        own = n * h if "hard" in options and draw(st.booleans()) else 0
        options["log_q"] = normal(c + own)
        options["correct_positive"] = draw(st.booleans())
    elif draw(st.booleans()):
        options["debias"] = draw(st.floats(0.01, 0.9))
    if draw(st.booleans()):
        options["hardness"] = draw(st.floats(0.01, 2))
    if draw(st.booleans()):
        options["ids"] = torch.randint(-1, 4, (draw(st.sampled_from([n, c])),), generator=generator)
    kind = draw(st.sampled_from(["pairs", "labels", "positives"]))
    if kind == "labels":
        options["labels"] = torch.randint(-1, 4, (draw(st.sampled_from([n, c])),), generator=generator)
    elif kind == "positives":
        columns = torch.stack([torch.randperm(c, generator=generator)[:3] for _ in range(n)])
        hidden = torch.rand(columns.shape, generator=generator) < 0.4
        hidden[-1, 0] = False
        options["positives"] = columns.masked_fill(hidden, -1)
    return options


def gradients_of(function, options, dtype):
    """Loss, and the gradients of all vectors and of the temperature as one."""
    moved = {
        name: value.to(dtype).detach().clone().requires_grad_() if name in VECTORS else value
        for name, value in options.items()
    }
    loss = function(**moved)
    loss.backward()
    vectors = [moved[name] for name in VECTORS if name in moved]
    # what the loss does not depend on has no gradient or one of zero
    found = [torch.zeros_like(value) if value.grad is None else value.grad for value in vectors]
    return loss.item(), torch.cat([gradient.double().flatten() for gradient in found])


def by_loops(options):
    names = {name: options[name].tolist() for name in ("ids", "labels", "positives") if name in options}
    loss, gradient = gradients_of(reference, {**options, **names}, torch.float64)
    return loss, gradient


def logit_bound(options):
    bound = 1 / options["temperature"].item()
    return bound + (options["log_q"].abs().max().item() if len(options.get("log_q", [])) else 0)


def check(options, backend, dtype, loss_error, gradient_error):
    expected, expected_gradient = by_loops(options)
    loss, gradient = gradients_of(lambda **some: info_nce(**some, backend=backend).loss, options, dtype)
    assert abs(loss - expected) <= loss_error * (1 + logit_bound(options))
    # a gradient that is zero but for rounding has no relative error: what is small beside the vectors is one
    assert (gradient - expected_gradient).norm() <= gradient_error * max(expected_gradient.norm().item(), 1e-2)


@pytest.mark.parametrize("backend", ["eager", "chunked"])
@settings(max_examples=150)
@given(options=problems())
def test_float64_equals_the_definition_summed_in_loops(options, backend):
    check(options, backend, torch.float64, 1e-11, 1e-9)


@pytest.mark.parametrize("backend", ["eager", "chunked"])
@settings(max_examples=100)
@given(options=problems(least_d=3))
def test_float32_keeps_its_bounds(options, backend):
    check(options, backend, torch.float32, 1e-6, 1e-5)


@pytest.mark.parametrize("backend", ["eager", "chunked"])
@settings(max_examples=60)
@given(options=problems(coldest=0.005, least_d=3))
def test_float32_keeps_its_bounds_in_the_cold(options, backend):
    options["temperature"] = options["temperature"].clamp(max=0.05)
    check(options, backend, torch.float32, 1e-6, 1e-4)


@settings(max_examples=60)
@given(options=problems())
def test_diagnostics_do_not_depend_on_the_backend(options):
    found = [info_nce(**options, backend=backend).diagnostics for backend in ("eager", "chunked")]
    for name, value in found[0].items():
        if name != "backend":
            assert torch.allclose(value, found[1][name], rtol=1e-9, atol=1e-9), name


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("temperature", [0.01, 0.1])
@pytest.mark.parametrize("m", [0, 300])
def test_tiles_of_the_real_size(symmetric, temperature, m, monkeypatch):
    # several of them, the last ones cut off; warm enough for powers without a maximum, and too cold for it
    monkeypatch.setattr(chunked, "TILE", (512, 512))
    monkeypatch.setattr(chunked, "LEAST_ROWS", 128)
    options = {"temperature": temperature, "symmetric": symmetric}
    vectors = [torch.randn(size, 16, dtype=torch.float64) for size in (1100, 1100, m)]
    found = []
    for backend in ("eager", "chunked"):
        some = [value.clone().requires_grad_() for value in vectors]
        loss, diagnostics = info_nce(*some[:2], bank=some[2], backend=backend, **options)
        loss.backward()
        found.append(
            [loss, *(value.grad for value in some), diagnostics["negative_similarity"], diagnostics["accuracy"]]
        )
    assert all(torch.allclose(one, other, rtol=1e-9, atol=1e-12) for one, other in zip(*found, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("backend", ["eager", "chunked", "triton"])
@settings(max_examples=100)
@given(options=problems(least_d=3))
def test_float32_keeps_its_bounds_on_cuda(options, backend):
    def on_device(**some):
        moved = {name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in some.items()}
        return info_nce(**moved, backend=backend).loss.cpu()

    expected, expected_gradient = by_loops(options)
    loss, gradient = gradients_of(on_device, options, torch.float32)
    assert abs(loss - expected) <= 1e-6 * (1 + logit_bound(options))
    assert (gradient - expected_gradient).norm() <= 1e-5 * max(expected_gradient.norm().item(), 1e-2)
