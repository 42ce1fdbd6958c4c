import math
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genocontrast.contrast.harmony import harmonise
from genocontrast.errors import ConfigError, ModelError, ShapeError

METHODS = ["sum", "pcgrad", "upgrad", "cagrad"]
SURGERY = ["pcgrad", "upgrad", "cagrad"]


def combine(*rows, method, before=None, **options):
    """Harmony of losses whose gradients at one point are the rows; returns the combined gradient too."""
    point = nn.Parameter(torch.zeros(len(rows[0]), dtype=torch.float64))
    point.grad = before
    losses = {f"loss{i}": torch.tensor(row, dtype=torch.float64) @ point for i, row in enumerate(rows)}
    harmony = harmonise(losses, [("stem.point", point)], method=method, **options)
    return point.grad, harmony


def close(got, wanted, atol=1e-9):
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64), atol=atol, rtol=0)


def unit(degrees, length=1.0):
    return [length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees))]


@st.composite
def jacobians(draw, least=2, most=5):
    k, d = draw(st.integers(least, most)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    rows = torch.randn(k, d, generator=generator, dtype=torch.float64)
    rows *= 10 ** torch.randn(k, 1, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        rows[1] = -draw(st.floats(0.1, 2)) * rows[0] + 0.01 * rows[1]
    return rows.tolist()


class Tower(nn.Module):
    """An encoder with two layers and two heads; the second loss does not reach the layer `late`."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.encoder = nn.ModuleDict({"stem": nn.Linear(4, 3), "late": nn.Linear(3, 3)})
            self.heads = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 1)})
            self.x = torch.randn(8, 4)

    def losses(self):
        hidden = torch.tanh(self.encoder["stem"](self.x))
        first = self.heads["a"](torch.tanh(self.encoder["late"](hidden))).square().mean()
        return {"a": first, "b": (self.heads["b"](hidden) - 1).square().mean()}

    def grads(self):
        return {name: parameter.grad for name, parameter in self.named_parameters()}


def test_pcgrad_takes_the_conflicting_part_out_of_both():
    # g1 loses its part along g2 and g2 its part along g1: (1, 0) -> (.5, .5) and (-1, 1) -> (0, 1)
    got, harmony = combine([1.0, 0.0], [-1.0, 1.0], method="pcgrad")
    close(got, [0.5, 1.5])
    close(harmony.coefficients, [2.0, 1.5])
    close(harmony.loss, 0.0)
    close(harmony.cosines["stem"], [-math.sqrt(0.5)])


def test_upgrad_of_three_by_hand():
    # in the plane, 120 degrees apart: nothing helps one without harming another, so the dual cone is the origin
    got, _ = combine(unit(90), unit(210), unit(330), method="upgrad")
    close(got, [0.0, 0.0])
    # at 0, 100 and 80 degrees the dual cone spans 10 to 90 degrees: 0 and 100 move to its edges, 80 is in it already
    got, _ = combine(unit(0), unit(100), unit(80), method="upgrad")
    edges = [math.cos(math.radians(10)) * x for x in unit(10)], [math.cos(math.radians(10)) * x for x in unit(90)]
    close(got, [sum(parts) for parts in zip(*edges, unit(80), strict=True)])


def test_cagrad_helps_the_worst_off_loss_within_the_ball():
    # the sum is (1, 3); the ball's best point for the worst-off loss, searched over the whole circle
    rows = torch.tensor([[3.0, 0.0], [-2.0, 3.0]], dtype=torch.float64)
    got, _ = combine(*rows.tolist(), method="cagrad", strength=0.4)
    angles = torch.linspace(0, 2 * math.pi, 1_000_001, dtype=torch.float64)
    around = rows.sum(0) / 2 + 0.4 * rows.sum(0).norm() / 2 * torch.stack([angles.cos(), angles.sin()], 1)
    best = around[(around @ rows.T).min(1).values.argmax()]
    close(got, (best * 2 / 1.4).tolist(), atol=1e-4)


@given(jacobians(most=2), st.floats(0.05, 0.95))
@settings(max_examples=60, deadline=None)
def test_cagrad_of_two_finds_the_lowest_point(rows, strength):
    rows = torch.tensor(rows, dtype=torch.float64)
    _, harmony = combine(*rows.tolist(), method="cagrad", strength=strength)
    push = harmony.coefficients * (1 + strength) - 1
    total, share = rows.sum(0), torch.linspace(0, 1, 1001, dtype=torch.float64)

    def height(first):
        mixed = first[:, None] * rows[0] + (1 - first[:, None]) * rows[1]
        return mixed @ total + strength * total.norm() * mixed.norm(dim=1)

    scale = float(rows.square().sum())
    assert height(push[:1] / push.sum())[0] <= height(share).min() + 1e-9 * scale
    close((push @ rows).norm(), float(strength * total.norm()), atol=1e-6 * scale**0.5)


@given(jacobians(least=3), st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_cagrad_of_more_is_no_worse_than_any_mixture(rows, strength):
    rows = torch.tensor(rows, dtype=torch.float64)
    got, _ = combine(*rows.tolist(), method="cagrad", strength=strength)
    total, scale = rows.sum(0), float(rows.square().sum())
    generator = torch.Generator().manual_seed(0)
    shares = -(torch.rand(3000, len(rows), generator=generator, dtype=torch.float64).log() ** 2)
    mixed = torch.cat([shares / shares.sum(1, keepdim=True), torch.eye(len(rows), dtype=torch.float64)]) @ rows
    # weak duality: what the worst-off loss gains is at most the height of any mixture, and equal at the lowest
    heights = mixed @ total + strength * total.norm() * mixed.norm(dim=1)
    gained = (rows @ got * (1 + strength)).min()
    assert gained <= heights.min() + 1e-6 * scale
    centre = (rows @ total).min()
    assert gained >= centre - 1e-6 * scale


def test_cagrad_stays_at_the_centre_where_two_of_three_cancel_out():
    got, _ = combine([1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], method="cagrad", strength=0.5)
    close(got, [0.0, 1 / 1.5], atol=1e-4)


@given(jacobians())
@settings(max_examples=60, deadline=None)
def test_upgrad_harms_no_loss_and_is_the_nearest_such_step(rows):
    rows = torch.tensor(rows, dtype=torch.float64)
    got, harmony = combine(*rows.tolist(), method="upgrad")
    slack = 1e-7 * rows.norm() * rows.norm(dim=1)
    assert (rows @ got >= -slack).all()
    # each projection adds conflicting gradients, never takes any away
    assert (harmony.coefficients >= 1 - 1e-9).all()


@given(jacobians(most=2))
@settings(max_examples=60, deadline=None)
def test_two_losses_pcgrad_is_upgrad_and_the_closed_form(rows):
    first, second = torch.tensor(rows, dtype=torch.float64)
    inner = min(float(first @ second), 0)
    wanted = first - inner / (second @ second) * second + second - inner / (first @ first) * first
    slack = 1e-9 * float(first.norm() + second.norm())
    for method in ("pcgrad", "upgrad"):
        close(combine(*rows, method=method)[0], wanted.tolist(), atol=slack)


def test_pcgrad_of_three_draws_its_order():
    rows = unit(0), unit(100), unit(220)
    seeds = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1, 2, 3)]
    results = [combine(*rows, method="pcgrad", generator=seed)[0] for seed in seeds]
    assert torch.equal(results[0], results[1])
    assert any(not torch.allclose(results[0], other) for other in results[2:])


def by_hand(rows, orders):
    total = torch.zeros(2, dtype=torch.float64)
    for i, order in enumerate(orders):
        own = rows[i]
        for j in order:
            own = own - min(float(own @ rows[j]), 0) / (rows[j] @ rows[j]) * rows[j]
        total = total + own
    return total


def test_pcgrad_of_three_is_one_of_the_orders_of_the_paper():
    rows = torch.tensor([unit(0), unit(100, 2), unit(220, 3)], dtype=torch.float64)
    orders = [[(1, 2), (2, 1)], [(0, 2), (2, 0)], [(0, 1), (1, 0)]]
    wanted = [by_hand(rows, (a, b, c)) for a in orders[0] for b in orders[1] for c in orders[2]]
    for seed in range(8):
        got, _ = combine(*rows.tolist(), method="pcgrad", generator=torch.Generator().manual_seed(seed))
        assert any(torch.allclose(got, other) for other in wanted)


def test_two_losses_leave_the_random_stream_alone():
    before = torch.get_rng_state()
    for method in METHODS:
        combine([1.0, 0.0], [-1.0, 1.0], method=method)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("method", ["pcgrad", "upgrad"])
@pytest.mark.parametrize("rows", [([2.0, 0.0], [0.0, 3.0]), ([2.0, 1.0], [1.0, 3.0]), (unit(0), unit(45), unit(90))])
def test_without_conflict_it_is_the_weighted_sum(method, rows):
    got, _ = combine(*rows, method=method, weights={"loss0": 0.5})
    weights = [0.5, 1.0, 1.0]
    close(got, [sum(w * x for w, x in zip(weights, column, strict=False)) for column in zip(*rows, strict=True)])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [2, 3])
def test_parallel_gradients_give_their_sum(method, count):
    for lengths in ([1.0] * count, [1.0, 5.0, 0.2][:count]):
        got, _ = combine(*([x, 2 * x] for x in lengths), method=method)
        close(got, [sum(lengths), 2 * sum(lengths)], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [2, 3])
def test_opposite_gradients_cancel(method, count):
    rows = ([0.3, 0.7], [-0.3, -0.7], [0.3, 0.7])[:count]
    got, _ = combine(*rows, method=method)
    assert got.isfinite().all()
    if count == 2 or method == "upgrad":
        close(got, [0.0, 0.0])


@pytest.mark.parametrize("method", METHODS)
def test_a_zero_gradient_has_no_say(method):
    got, harmony = combine([2.0, 1.0], [0.0, 0.0], method=method, log_cosines=True)
    close(got, [2.0, 1.0])
    close(harmony.cosines["stem"], [0.0])
    alone, _ = combine([2.0, 1.0], [-1.0, 1.0], method=method)
    close(combine([2.0, 1.0], [0.0, 0.0], [-1.0, 1.0], method=method)[0], alone.tolist(), atol=1e-6)
    assert not combine([0.0], [0.0], [0.0], method=method)[0].any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-12, 1.0, 65536.0])
def test_a_common_factor_changes_no_coefficient(method, factor):
    rows = [[3.0, 0.0], [-2.0, 3.0], [1.0, -1.5]]
    for k in (2, 3):
        seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
        one = combine(*rows[:k], method=method, generator=seeds[0])[1].coefficients
        scaled = [[factor * x for x in row] for row in rows[:k]]
        close(combine(*scaled, method=method, generator=seeds[1])[1].coefficients, one.tolist(), atol=1e-5)


@pytest.mark.parametrize("method", SURGERY)
def test_weights_multiply_the_losses_first(method):
    weighted, harmony = combine([3.0, 0.0], [-2.0, 3.0], method=method, weights={"loss0": 0.5, "loss1": 2.0})
    plain, _ = combine([1.5, 0.0], [-4.0, 6.0], method=method)
    close(weighted, plain.tolist())
    assert harmony.coefficients.shape == (2,)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_accumulate_in_place(method):
    buffer = torch.tensor([10.0, 20.0], dtype=torch.float64)
    got, _ = combine([1.0, 0.0], [-1.0, 1.0], method=method, before=buffer)
    fresh, _ = combine([1.0, 0.0], [-1.0, 1.0], method=method)
    assert got is buffer
    close(got, (fresh + torch.tensor([10.0, 20.0])).tolist())


def test_sum_is_plain_backward_bit_for_bit_and_runs_once():
    plain, tower = Tower(), Tower()
    (plain.losses()["a"] + plain.losses()["b"] * 0.3).backward()
    calls = []
    tower.encoder["stem"].weight.register_hook(lambda gradient: calls.append(1))
    harmony = harmonise(tower.losses(), tower.encoder.named_parameters(), weights={"b": 0.3})
    assert calls == [1]
    assert harmony.cosines == {}
    assert harmony.coefficients.tolist() == [1, 1]
    assert not harmony.loss.requires_grad
    plain_again, expected = Tower(), Tower()
    losses = expected.losses()
    (losses["a"] + losses["b"] * 0.3).backward()
    for name, gradient in tower.grads().items():
        assert torch.equal(gradient, expected.grads()[name]), name
        torch.testing.assert_close(gradient, plain.grads()[name])
    harmonise(plain_again.losses(), plain_again.encoder.named_parameters(), weights={"b": 0.3}, log_cosines=True)
    for name, gradient in plain_again.grads().items():
        torch.testing.assert_close(gradient, expected.grads()[name])


@pytest.mark.parametrize("method", METHODS)
def test_heads_get_the_plain_gradient_and_layers_their_cosine(method):
    plain, tower, alone = Tower(), Tower(), {}
    sum(plain.losses().values()).backward()
    for name in ("a", "b"):
        single = Tower()
        single.losses()[name].backward()
        alone[name] = torch.cat([p.grad.flatten() for p in single.encoder["stem"].parameters()])
    harmony = harmonise(tower.losses(), tower.encoder.named_parameters(), method=method, log_cosines=True)
    for name, gradient in tower.heads.named_parameters():
        torch.testing.assert_close(gradient.grad, plain.grads()[f"heads.{name}"])
    wanted = torch.nn.functional.cosine_similarity(alone["a"], alone["b"], dim=0)
    assert harmony.cosines.keys() == {"stem", "late"}
    torch.testing.assert_close(harmony.cosines["stem"], wanted[None])
    assert harmony.cosines["late"].tolist() == [0]  # the second loss does not reach it
    assert not harmony.cosines["stem"].requires_grad


@pytest.mark.parametrize("method", SURGERY)
def test_the_step_is_the_coefficients_times_the_gradients(method):
    tower, parts = Tower(), []
    for name in ("a", "b"):
        single = Tower()
        single.losses()[name].backward()
        parts.append(single.grads())
    calls = []
    tower.encoder["stem"].weight.register_hook(lambda gradient: calls.append(1))
    harmony = harmonise(tower.losses(), tower.encoder.named_parameters(), method=method)
    assert calls == [1, 1]
    for name, parameter in tower.encoder.named_parameters():
        terms = zip(harmony.coefficients, (part[f"encoder.{name}"] for part in parts), strict=True)
        torch.testing.assert_close(parameter.grad, sum(c * g for c, g in terms if g is not None))
    with pytest.raises(RuntimeError, match="second time"):
        losses = tower.losses()
        harmonise(losses, tower.encoder.named_parameters(), method=method)
        losses["b"].backward()


def test_cosines_come_in_the_order_of_pairs():
    _, harmony = combine(unit(0), unit(60, 2), unit(180, 3), method="sum", log_cosines=True)
    close(harmony.cosines["stem"], [0.5, -1.0, -0.5])


@pytest.mark.parametrize("method", METHODS)
def test_one_loss_is_plain_backward(method):
    got, harmony = combine([3.0, 4.0], method=method, weights={"loss0": 2.0})
    close(got, [6.0, 8.0])
    assert harmony.cosines == {}
    assert harmony.coefficients.tolist() == [1]


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_reaches_no_shared_parameter(method):
    shared, head = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    harmonise({"a": shared @ shared, "b": head.sum()}, [("a.shared", shared)], method=method)
    assert shared.grad.tolist() == [2, 2]
    assert head.grad.tolist() == [1, 1]
    head.grad = shared.grad = None
    harmonise({"a": head.sum(), "b": head.sum()}, [("a.shared", shared)], method=method)
    assert shared.grad is None
    assert head.grad.tolist() == [2, 2]


@pytest.mark.parametrize("method", METHODS)
def test_frozen_parameters_are_passed_over_and_tied_ones_count_once(method):
    shared, frozen = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
    pairs = [("a.w", shared), ("b.w", shared), ("c.w", frozen)]
    losses = {"a": shared.sum() * frozen.sum(), "b": shared.sum()}
    harmony = harmonise(losses, pairs, method=method, log_cosines=True)
    torch.testing.assert_close(shared.grad, torch.tensor([3.0, 3.0]))
    assert harmony.cosines.keys() == {"a"}
    assert frozen.grad is None


@pytest.mark.parametrize("method", SURGERY)
def test_half_precision_is_compared_in_float32(method):
    shared = nn.Parameter(torch.full((4096,), 0.25, dtype=torch.bfloat16))
    losses = {"a": shared.sum(), "b": -2 * shared.sum() + shared[0]}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        harmony = harmonise(losses, [("a.w", shared)], method=method)
    assert shared.grad.dtype == torch.bfloat16
    assert harmony.cosines["a"].dtype == torch.float32
    assert harmony.cosines["a"].item() == pytest.approx((-2 * 4096 + 1) / math.sqrt(4096 * (4 * 4095 + 1)), abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("method", SURGERY)
def test_a_gradient_that_is_not_finite_names_its_loss_and_leaves_grad_alone(method, bad):
    shared = nn.Parameter(torch.ones(2))
    shared.grad = torch.tensor([5.0, 5.0])
    with pytest.raises(ModelError, match="the gradient of second is not finite"):
        harmonise({"first": shared.sum(), "second": bad * shared[0]}, [("w", shared)], method=method)
    assert shared.grad.tolist() == [5, 5]


def test_an_error_in_backward_leaves_grad_alone():
    shared = nn.Parameter(torch.ones(2))
    shared.grad = kept = torch.tensor([5.0, 5.0])
    used_up = shared.square().sum()
    used_up.backward()
    kept.fill_(5)
    with pytest.raises(RuntimeError, match="second time"):
        harmonise({"a": shared.sum(), "b": used_up}, [("w", shared)], method="pcgrad")
    assert shared.grad is kept
    assert kept.tolist() == [5, 5]


def test_bad_arguments_are_named():
    shared = nn.Parameter(torch.ones(2))
    pairs = [("w", shared)]
    good = {"a": shared.sum(), "b": shared.sum()}
    with pytest.raises(ConfigError, match=r"no such method.*nash[\s\S]*sum, pcgrad, upgrad, cagrad"):
        harmonise(good, pairs, method="nash")
    with pytest.raises(ConfigError, match=r"no such engine.*jax"):
        harmonise(good, pairs, engine="jax")
    for strength in (-0.1, 1.0, math.nan):
        with pytest.raises(ConfigError, match="strength"):
            harmonise(good, pairs, method="cagrad", strength=strength)
    with pytest.raises(ConfigError, match="no loss"):
        harmonise({}, pairs)
    with pytest.raises(ConfigError, match=r"belongs to no loss \(got \['c'\]\)"):
        harmonise(good, pairs, weights={"c": 1.0})
    for weight in (-1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match="weight of loss 'b'"):
            harmonise(good, pairs, weights={"b": weight})
    with pytest.raises(ShapeError, match=r"loss 'b' must be a scalar \(got \(2,\)\)"):
        harmonise({**good, "b": shared * 2}, pairs)
    with pytest.raises(ModelError, match="loss 'b' carries no gradient"):
        harmonise({**good, "b": shared.sum().detach()}, pairs)
    with pytest.raises(ConfigError, match="no names"):
        harmonise(good, [shared])
    with pytest.raises(ModelError, match="no shared parameter"):
        harmonise(good, [("w", nn.Parameter(torch.ones(2), requires_grad=False))])
    assert shared.grad is None


def test_without_torchjd_the_remedy_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("genocontrast.contrast.harmony.importlib.import_module", missing)
    head, shared = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    with pytest.raises(ConfigError, match="pip install torchjd"):
        harmonise({"a": head @ shared, "b": shared.sum()}, [("w", shared)], method="upgrad", engine="torchjd")
    assert head.grad is None  # found out before any backward


@pytest.mark.skipif(find_spec("torchjd") is None, reason="torchjd, the peer, is not installed")
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("method", SURGERY)
def test_torchjd_agrees(method, count):
    generator = torch.Generator().manual_seed(count)
    worst = 0.0
    for conflict in [0.0, 1.5] * 25:
        rows = torch.randn(count, 6, generator=generator, dtype=torch.float64)
        rows[1] -= conflict * rows[0]
        steps = []
        for engine in ("own", "torchjd"):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # both draw PCGrad's orders in the same way
                steps.append(combine(*rows.tolist(), method=method, engine=engine)[0])
        worst = max(worst, float((steps[0] - steps[1]).norm() / rows.norm()))
    print(f"torchjd: {method} of {count} losses differs by {worst:.1e} of the gradients' length")
    # its UPGrad adds 1e-4 to the diagonal; its CAGrad solves to about 1e-4
    assert worst < {"pcgrad": 1e-6, "upgrad": 1e-2, "cagrad": 1e-3}[method]
