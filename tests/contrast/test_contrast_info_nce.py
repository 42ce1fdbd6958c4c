import math

import pytest
import torch

from genocontrast.contrast import MemoryBank, arguments, energy, info_nce
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
    queries, keys = torch.randn(8, 4).bfloat16(), torch.randn(8, 4).bfloat16()
    expected = info_nce(queries.float(), keys.float(), temperature=0.1).loss
    assert info_nce(queries, keys, temperature=0.1).loss.item() == expected.item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert info_nce(queries.float(), keys.float(), temperature=0.1).loss.item() == expected.item()


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
        ({"log_q": torch.zeros(4), "bank": E}, r"log_q must have shape \(8,\)"),
        ({"ids": torch.zeros(4)}, "ids must hold integers"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, "labels must have shape"),
        ({"hard_weight": torch.ones(4, 1)}, "hard_weight needs hard"),
        ({"hard": E[:, None], "hard_weight": -torch.ones(4, 1)}, "hard_weight must not be negative"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"temperature": math.nan}, "temperature must be"),
        ({"temperature": 1e-9}, "temperature must be"),
        ({"temperature": torch.tensor(1e9)}, "temperature must be"),
        ({"debias": 1.0}, "debias must lie"),
        ({"debias": 0.1, "log_q": torch.zeros(4)}, "debias and log_q"),
        ({"hardness": -1.0}, "hardness must be"),
        ({"hardness": 1e30}, "hardness must be"),
        (
            {"hard": E[:, None], "hard_weight": torch.full((4, 1), 1e39, dtype=torch.float64)},
            "hard_weight holds values",
        ),
        ({"log_q": torch.full((4,), 1e300, dtype=torch.float64)}, "log_q holds values"),
        ({"positives": torch.zeros(4, 0, dtype=torch.long)}, "positives must have a column"),
        ({"ids": torch.zeros(4, dtype=torch.uint64)}, "ids must hold integers"),
        ({"hardness": torch.tensor(1.0)}, "hardness must be a number; it is not learned"),
        ({"temperature": "0.1"}, "temperature must be a number or a tensor"),
        ({"temperature": True}, "temperature must be a number or a tensor"),
        ({"keys": [[1.0]]}, "keys must be a torch.Tensor"),
        ({"ids": [0, 1, 2, 3]}, r"ids must be a torch.Tensor.*list[\s\S]*torch.as_tensor\(ids\)"),
        ({"bank": MemoryBank(4, 4)}, r"bank must be a torch.Tensor[\s\S]*bank.arguments"),
        ({"hard": E}, r"one negative a query: hard\[:, None\]"),
        ({"ids": -7 * torch.ones(4, dtype=torch.long)}, "ids must be 0 or above, or -1 for none"),
        ({"temperature": torch.ones(2)}, "temperature must be one number"),
        ({"log_q": torch.zeros(5), "hard": E[:, None]}, r"log_q must have shape \(4,\) or \(8,\)"),
        ({"ids": torch.zeros(5, dtype=torch.long), "bank": E}, r"ids must have shape \(4,\) or \(8,\)"),
        ({"positives": torch.zeros(4, dtype=torch.long)}, r"positives must have shape \(4, any\)"),
        ({"positives": torch.tensor([[4], [0], [0], [0]])}, "rows of keys and bank, 0 to 3"),
        ({"positives": torch.tensor([[-2], [0], [0], [0]])}, "positives must be 0 or above, or -1"),
        ({"positives": -torch.ones(4, 2, dtype=torch.long)}, "no query has one"),
        ({"positives": torch.tensor([[0, 1], [1, 1], [0, -1], [-1, -1]])}, "twice for one query .*row 1"),
        ({"positives": torch.eye(4, dtype=torch.long), "labels": torch.arange(4)}, "labels and positives"),
    ],
)
def test_what_does_not_fit_is_named(options, problem):
    arguments = {"queries": E, "keys": E, "temperature": 0.1, **options}
    with pytest.raises(ShapeError, match=problem):
        info_nce(arguments.pop("queries"), arguments.pop("keys"), **arguments)


def test_an_unknown_backend_is_named():
    with pytest.raises(ConfigError, match="no such backend"):
        info_nce(E, E, temperature=0.1, backend="cuda")


BACKENDS = pytest.mark.parametrize("backend", ["eager", "chunked"])


@BACKENDS
@pytest.mark.parametrize("temperature", [1e-8, 1e-4, 0.01, 1e4, 1e8])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_extreme_temperatures_stay_finite(backend, temperature, dtype):
    if dtype == torch.float16:
        temperature = max(temperature, 1e-4)  # colder, the gradients leave the range of the type
    queries, keys = (E.to(dtype).clone().requires_grad_() for _ in range(2))
    for options in ({}, {"debias": 0.1}, {"hardness": 0.5}, {"labels": torch.tensor([0, 0, 1, -1])}):
        loss, diagnostics = info_nce(queries, keys, temperature=temperature, backend=backend, **options)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(queries.grad).all()
        assert torch.isfinite(keys.grad).all()
        assert all(torch.isfinite(value) for name, value in diagnostics.items() if name != "backend")


@BACKENDS
def test_a_query_whose_every_negative_is_masked_loses_nothing(backend):
    queries = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    loss, diagnostics = info_nce(
        queries, E[:5, :3].repeat(2, 1)[:5], temperature=0.1, ids=torch.zeros(5, dtype=torch.long), backend=backend
    )
    loss.backward()
    assert loss == 0
    assert not queries.grad.any()
    assert diagnostics["accuracy"] == 1
    assert diagnostics["negative_similarity"] == 0


@BACKENDS
def test_duplicates_share_the_probability(backend):
    queries = torch.randn(1, 256).repeat(256, 1)
    loss, diagnostics = info_nce(queries, queries, temperature=0.05, backend=backend)
    assert loss.item() == pytest.approx(math.log(256), abs=1e-6 * (1 + 1 / 0.05))
    assert diagnostics["accuracy"] == 0  # ties count as wrong, however the products were rounded


@BACKENDS
def test_no_hard_negatives_are_none(backend):
    plain = info_nce(E, E.roll(1, 0), temperature=0.5, backend=backend)
    empty = info_nce(E, E.roll(1, 0), temperature=0.5, hard=torch.zeros(4, 0, 4), bank=E[:0], backend=backend)
    assert empty.loss == plain.loss
    assert {**empty.diagnostics} == {**plain.diagnostics}


@BACKENDS
def test_the_temperature_is_learned_by_its_gradient(backend):
    queries, keys = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss_at(value):
        return info_nce(queries, keys, temperature=value, hard=keys.roll(1, 0)[:, None], backend=backend).loss

    loss_at(temperature).backward()
    slope = (loss_at(0.3 + 1e-6) - loss_at(0.3 - 1e-6)) / 2e-6
    assert temperature.grad.item() == pytest.approx(slope.item(), rel=1e-6)


@BACKENDS
def test_hard_weighted_negatives_of_known_geometry(backend):
    # two negatives at cosines 0 and 1/2, temperature 1, hardness 2: weights exp(0) and exp(1), of mean 1
    query = torch.tensor([at_angle(0)], dtype=torch.float64)
    bank = torch.tensor([at_angle(90), at_angle(60)], dtype=torch.float64)
    loss = info_nce(query, query, temperature=1.0, bank=bank, hardness=2.0, symmetric=False, backend=backend).loss
    weights = [2 / (1 + math.e), 2 * math.e / (1 + math.e)]
    negatives = weights[0] + weights[1] * math.exp(0.5)
    assert loss.item() == pytest.approx(math.log((math.e + negatives) / math.e), rel=1e-12)


@BACKENDS
def test_share_of_the_hard_negatives(backend):
    # the one in the bank at cosine 0, the hard one at 1/2: forces of 1 and sqrt(e)
    query = torch.tensor([at_angle(0)], dtype=torch.float64)
    hard, bank = (torch.tensor([at_angle(angle)], dtype=torch.float64) for angle in (60, 90))
    found = info_nce(query, query, temperature=1.0, hard=hard[None], bank=bank, backend=backend).diagnostics
    assert found["hard_share"].item() == pytest.approx(math.exp(0.5) / (1 + math.exp(0.5)), rel=1e-6)
    # the norms of the two gradients that the query gets are in that proportion
    queries, own, shared = query.clone(), hard[None].clone().requires_grad_(), bank.clone().requires_grad_()
    info_nce(queries, query, temperature=1.0, hard=own, bank=shared, symmetric=False).loss.backward()
    pulls = [own.grad.norm() / math.sin(math.radians(60)), shared.grad.norm() / math.sin(math.radians(90))]
    assert found["hard_share"].item() == pytest.approx((pulls[0] / sum(pulls)).item(), rel=1e-6)


@BACKENDS
def test_positives_as_given(backend):
    # queries 0 and 1 have each other's key; query 2 has the bank's row; query 3 none, and is no anchor
    bank = E[2:3]
    positives = torch.tensor([[1], [0], [4], [-1]])
    given = info_nce(
        E, E[[1, 0, 3, 2]], temperature=0.5, bank=bank, positives=positives, symmetric=False, backend=backend
    )
    # query 0 sees its key once; query 2 its own in the bank and an equal one, key 3, as a negative
    alone = math.log(1 + 4 * math.exp(-2))
    assert given.loss.item() == pytest.approx((2 * alone + math.log(2 + 3 * math.exp(-2))) / 3, rel=1e-12)
    assert given.diagnostics["accuracy"].item() == pytest.approx(2 / 3)
    assert given.diagnostics["alignment"].item() == pytest.approx(0, abs=1e-12)


@BACKENDS
def test_names_of_the_bank(backend):
    names = torch.tensor([0, 1, 2, 3, 1, -1])
    options = {"temperature": 0.5, "bank": E[[1, 0]], "symmetric": False, "backend": backend}
    negative = math.exp(-2)
    # query 1 finds itself in the bank: masked by its id, a positive by its label; query 0 finds a nameless copy
    masked = info_nce(E, E, ids=names, **options).loss.item()
    terms = [math.log(2 + 4 * negative), math.log(1 + 4 * negative), *[math.log(1 + 5 * negative)] * 2]
    assert masked == pytest.approx(sum(terms) / 4, rel=1e-12)
    labelled = info_nce(E, E, labels=names, **options).loss.item()
    terms[1] = math.log(2 + 4 * negative)
    assert labelled == pytest.approx(sum(terms) / 4, rel=1e-12)


@pytest.mark.parametrize("backend", ["eager", "chunked"])
def test_nothing_waits_for_the_device(backend):
    # on the meta device there are no values: whatever reads one raises
    def vectors(*shape):
        return torch.empty(shape, device="meta", requires_grad=True)

    names = torch.empty(9, dtype=torch.long, device="meta")
    several = [
        {},
        {"ids": names, "hard": vectors(9, 2, 5), "hard_weight": vectors(9, 2)},
        {"labels": names, "bank": vectors(4, 5), "log_q": vectors(13)},
        {"positives": names[:, None], "hardness": 1.0, "debias": 0.1},
    ]
    for options in several:
        queries, temperature = vectors(9, 5), vectors()
        info_nce(queries, vectors(9, 5), temperature=temperature, backend=backend, **options).loss.backward()
        assert queries.grad.shape == queries.shape
        assert temperature.grad.shape == ()


def test_auto_takes_tiles_where_the_matrix_is_large():
    names = [info_nce(*torch.randn(2, n, 4), temperature=0.1).diagnostics["backend"] for n in (64, 2048)]
    assert names == ["eager", "chunked"]


def test_energy_is_minus_the_logit():
    queries, keys = (torch.randn(4, 3, dtype=torch.float64) for _ in range(2))
    cosines = torch.nn.functional.cosine_similarity(queries[:, None], keys[None], dim=2)
    assert torch.allclose(energy(queries, keys, temperature=0.2), -cosines / 0.2)
    own = torch.stack([keys, queries], 1)
    assert torch.allclose(energy(queries, own, temperature=0.2)[:, 0], -cosines.diagonal() / 0.2)
    assert torch.allclose(energy(queries, own, temperature=0.2)[:, 1], torch.tensor(-5.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("shapes", "temperature", "problem"),
    [
        (((4,), (1, 4)), 0.1, "queries must have shape"),
        (((2, 4), (2, 3)), 0.1, "queries must have shape"),
        (((2, 4), (2, 4)), 0.0, "temperature must be"),
        (((2, 4), (2, 4)), -1.0, "temperature must be"),
    ],
)
def test_energy_of_what_does_not_fit_is_refused(shapes, temperature, problem):
    with pytest.raises(ShapeError, match=problem):
        energy(*(torch.ones(shape) for shape in shapes), temperature=temperature)


@BACKENDS
def test_gradients_of_gradients_are_refused(backend):
    queries = torch.randn(4, 3, requires_grad=True)
    temperature = torch.tensor(0.5, requires_grad=True)
    keys = torch.randn(4, 3)
    for value in (
        info_nce(queries, keys, temperature=temperature, backend=backend).loss,
        energy(queries, keys, temperature=temperature).sum(),
    ):
        (gradient,) = torch.autograd.grad(value, queries, create_graph=True)
        with pytest.raises(RuntimeError, match="no gradients of gradients"):
            (value + gradient.square().sum()).backward()


@BACKENDS
@pytest.mark.parametrize("where", ["queries", "bank", "hard", "hard_weight"])
def test_what_is_no_number_is_not_taken_for_nothing(backend, where, monkeypatch):
    # as on a device, where values are not looked at
    monkeypatch.setattr(arguments, "_check_finite", lambda *_: None)
    options = {"queries": E.clone(), "bank": E.clone(), "hard": E[:, None].clone(), "hard_weight": torch.ones(4, 1)}
    options[where][0] = math.nan
    queries = options.pop("queries")
    assert info_nce(queries, E, temperature=0.5, symmetric=False, backend=backend, **options).loss.isnan()


@BACKENDS
def test_queries_without_positives_have_no_part_in_the_share(backend):
    positives = torch.tensor([[0], [-1], [-1], [-1]])
    options = {"positives": positives, "hard": E[:, None].repeat(1, 2, 1), "symmetric": False, "backend": backend}
    assert 0.5 < info_nce(E, E, temperature=0.1, **options).diagnostics["hard_share"] <= 1


@BACKENDS
def test_positives_in_the_bank_alone_leave_one_direction(backend):
    options = {"temperature": 0.5, "bank": E.roll(1, 0), "positives": torch.arange(4, 8)[:, None], "backend": backend}
    both, one = (info_nce(E, E.roll(2, 0), symmetric=symmetric, **options).loss for symmetric in (True, False))
    assert both.item() == pytest.approx(one.item(), rel=1e-12)
