import math

import pytest
import torch

from genocontrast.contrast import info_nce
from genocontrast.errors import ConfigError, ShapeError

E = torch.eye(4, dtype=torch.float64)


def at_angle(degrees):
    radians = math.radians(degrees)
    return [math.cos(radians), math.sin(radians)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_points_at_known_angles(dtype):
    # query 0 at 0 degrees: key at 20, the other key at 90; query 1 at 60: key at 90, the other key at 20
    queries = torch.tensor([at_angle(0), at_angle(60)], dtype=dtype)
    keys = torch.tensor([at_angle(20), at_angle(90)], dtype=dtype)

    def term(right, wrong):
        return math.log(1 + math.exp((math.cos(math.radians(wrong)) - math.cos(math.radians(right))) / 0.5))

    one_way = (term(20, 90) + term(30, 40)) / 2
    other_way = (term(20, 40) + term(30, 90)) / 2
    tolerance = 1e-2 if dtype in (torch.float16, torch.bfloat16) else 1e-6
    assert info_nce(queries, keys, temperature=0.5, symmetric=False).loss.item() == pytest.approx(
        one_way, abs=tolerance
    )
    loss = info_nce(queries, keys, temperature=0.5).loss
    assert loss.item() == pytest.approx((one_way + other_way) / 2, abs=tolerance)
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_half_precision_is_computed_in_float32_even_under_autocast():
    queries, keys = torch.randn(8, 4), torch.randn(8, 4)
    expected = info_nce(queries, keys, temperature=0.1).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert info_nce(queries, keys, temperature=0.1).loss.item() == expected.item()


def test_a_hard_negative_weighs_like_that_many_copies():
    weighted = info_nce(E, E, temperature=0.5, hard=E.roll(1, 0)[:, None], hard_weight=torch.full((4, 1), 3.0))
    copies = info_nce(E, E, temperature=0.5, hard=E.roll(1, 0)[:, None].repeat(1, 3, 1))
    assert weighted.loss.item() == pytest.approx(copies.loss.item(), rel=1e-12)


def test_a_hard_negative_of_weight_zero_is_not_there():
    plain = info_nce(E, E, temperature=0.5)
    absent = info_nce(E, E, temperature=0.5, hard=E[:, None], hard_weight=torch.zeros(4, 1))
    assert absent.loss.item() == pytest.approx(plain.loss.item(), rel=1e-12)


def test_keys_drawn_twice_as_often_count_half():
    # a bank row drawn with probability 1/2 against one drawn with 1/4, repeated: the same estimate of the sum
    negative = at_angle(50)
    query = torch.tensor([at_angle(0)], dtype=torch.float64)
    bank = torch.tensor([negative, negative], dtype=torch.float64)
    log_q = torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64).log()
    loss = info_nce(query, query, temperature=1.0, bank=bank, log_q=log_q, symmetric=False).loss
    assert loss.item() == pytest.approx(math.log(1 + math.exp(math.cos(math.radians(50)) - 1)), rel=1e-12)


def test_debias_takes_the_expected_false_negatives_off():
    # one positive at cosine 1, two negatives at cosine 0, tau 0.1, temperature 1: g = (2 - 0.1 * 2 * e) / 0.9
    query, bank = E[:1], E[1:3]
    loss = info_nce(query, query, temperature=1.0, bank=bank, debias=0.1, symmetric=False).loss
    assert loss.item() == pytest.approx(math.log((math.e + (2 - 0.2 * math.e) / 0.9) / math.e), rel=1e-12)


def test_debias_is_clamped_where_the_estimate_is_impossible():
    query, bank = E[:1], E[1:3]
    loss = info_nce(query, query, temperature=1.0, bank=bank, debias=0.6, symmetric=False).loss
    assert loss.item() == pytest.approx(math.log((math.e + 2 / math.e) / math.e), rel=1e-12)


def test_the_same_id_is_never_a_negative():
    ids = torch.tensor([0, 0, 1, 2])
    keys = torch.stack([E[0], E[0], E[2], E[3]])
    masked, diagnostics = info_nce(keys, keys, temperature=0.1, ids=ids)
    assert masked.item() < 1e-3
    assert diagnostics["accuracy"] == 1
    assert info_nce(keys, keys, temperature=0.1).loss.item() > 0.3


def test_diagnostics_of_known_geometry():
    queries = torch.tensor([at_angle(0), at_angle(90)], dtype=torch.float64)
    keys = torch.tensor([at_angle(60), at_angle(130)], dtype=torch.float64)
    _, found = info_nce(queries, keys, temperature=0.1, bank=queries[:1])
    cosines = {degrees: math.cos(math.radians(degrees)) for degrees in (0, 30, 40, 60, 90, 130)}
    assert found["accuracy"] == 0  # query 0: the bank holds itself; query 1: the other key is nearer
    assert found["positive_similarity"].item() == pytest.approx((cosines[60] + cosines[40]) / 2)
    negatives = [cosines[130], cosines[0], cosines[30], cosines[90]]
    assert found["negative_similarity"].item() == pytest.approx(sum(negatives) / 4)
    assert found["alignment"].item() == pytest.approx(2 - cosines[60] - cosines[40])
    assert found["uniformity"].item() == pytest.approx(-4)  # the queries lie sqrt(2) apart
    assert not any(value.requires_grad for value in found.values() if value is not found["backend"])


def test_extreme_inputs_stay_finite():
    queries = torch.zeros(3, 2, requires_grad=True)
    scale = torch.tensor([[1e30], [1e-30], [1.0]])
    keys = (torch.tensor([at_angle(0), at_angle(40), at_angle(90)]) * scale).requires_grad_()
    loss, diagnostics = info_nce(queries, keys, temperature=0.01, bank=torch.zeros(0, 2))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3), rel=1e-5)
    assert torch.isfinite(queries.grad).all()
    assert all(torch.isfinite(value) for name, value in diagnostics.items() if name != "backend")
    alone = info_nce(E[:1], E[:1], temperature=0.1)
    assert alone.loss.item() == pytest.approx(0)
    assert all(torch.isfinite(value) for name, value in alone.diagnostics.items() if name != "backend")


def test_huge_and_tiny_vectors_are_only_directions():
    keys = torch.randn(3, 4)
    scaled = keys * torch.tensor([[1e30], [1e-30], [1.0]])
    assert info_nce(keys, scaled, temperature=0.1).loss.item() == pytest.approx(
        info_nce(keys, keys, temperature=0.1).loss.item(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"keys": E[:3]}, r"keys must have shape \(4, 4\)"),
        ({"keys": E.long()}, "keys must hold floating-point"),
        ({"queries": E[0]}, "queries must have shape"),
        ({"queries": E[:0], "keys": E[:0]}, "queries must have shape"),
        ({"queries": E * math.nan}, "queries holds values that are not finite"),
        ({"hard": E}, r"hard must have shape \(4, any, 4\)"),
        ({"bank": E[None]}, r"bank must have shape \(any, 4\)"),
        ({"bank": E / 0}, "bank holds values that are not finite"),
        ({"log_q": torch.zeros(4), "bank": E}, r"log_q must have shape \(8\)"),
        ({"ids": torch.zeros(4)}, "ids must hold integers"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, "labels must have shape"),
        ({"hard_weight": torch.ones(4, 1)}, "hard_weight needs hard"),
        ({"hard": E[:, None], "hard_weight": -torch.ones(4, 1)}, "hard_weight must not be negative"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"temperature": math.nan}, "temperature must be"),
        ({"debias": 1.0}, "debias must lie"),
        ({"debias": 0.1, "log_q": torch.zeros(4)}, "debias and log_q"),
    ],
)
def test_what_does_not_fit_is_named(options, problem):
    arguments = {"queries": E, "keys": E, "temperature": 0.1, **options}
    with pytest.raises(ShapeError, match=problem):
        info_nce(arguments.pop("queries"), arguments.pop("keys"), **arguments)


def test_an_unknown_backend_is_named():
    with pytest.raises(ConfigError, match="no such backend"):
        info_nce(E, E, temperature=0.1, backend="cuda")
