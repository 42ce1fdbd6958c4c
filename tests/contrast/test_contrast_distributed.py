"""One spawn per number of ranks runs all cases and saves what it found; each test asserts one case of it."""

import datetime
import time
import warnings

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from genocontrast.contrast import info_nce
from genocontrast.contrast.distributed import ring
from genocontrast.contrast.distributed.gathered import gathered_info_nce, ring_info_nce
from genocontrast.contrast.distributed.team import Team
from genocontrast.errors import ConfigError, GenocontrastError, ShapeError

WAYS = {"gathered": gathered_info_nce, "ring": ring_info_nce}
SIZES = {2: (3, 1), 3: (3, 1, 4), 4: (2, 0, 3, 1)}
PLAIN = {"temperature": 0.3}
CASES = {
    "plain": PLAIN,
    "one way": {"symmetric": False},
    "learned temperature": {"learned": True},
    "labels": {"labels": True},
    "ids": {"ids": True},
    "labels and ids, one way": {"labels": True, "ids": True, "symmetric": False},
    "log_q": {"log_q": True},
    "log_q of labels": {"log_q": True, "labels": True},
    "log_q of negatives only": {"log_q": True, "labels": True, "correct_positive": False},
    "hard": {"hard": True},
    "hard weighed, log_q of all": {"hard": True, "weighed": True, "log_q": "all", "bank": 2},
    "bank": {"bank": 3},
    "empty bank": {"bank": 0},
    "bank with names": {"bank": 3, "named": True, "labels": True, "ids": True},
    "bank of no names": {"bank": 3, "labels": True, "ids": True, "log_q": True},
    "debias": {"debias": 0.1},
    "debias of labels": {"debias": 0.05, "labels": True, "hard": True},
    "hardness": {"hardness": 0.7, "ids": True, "hard": True},
    "hardness, learned": {"hardness": 0.7, "debias": 0.1, "learned": True, "bank": 2, "labels": True},
    "all": {"learned": True, "labels": True, "ids": True, "log_q": "all", "hard": True, "bank": 3, "hardness": 0.4},
    "sizes known": {"sizes": True, "labels": True},
    "rows on the last rank only": {"rows": "last", "hard": True, "labels": True, "log_q": "all"},
    "no rows on the first rank": {"rows": "not first", "learned": True, "bank": 2, "ids": True},
    "as many rows on each rank": {"rows": "even", "hard": True, "ids": True},
}
D, H = 3, 2


def rows_of(case, world):
    kind = CASES[case].get("rows")
    if kind == "last":
        return (0,) * (world - 1) + (4,)
    if kind == "not first":
        return (0, *SIZES[world][: world - 2], 3)
    return (2,) * world if kind == "even" else SIZES[world]


def problem(case, world):
    """Inputs of all rows before the encoder, parameters, and how `info_nce` is to be called."""
    options, n = CASES[case], sum(rows_of(case, world))
    generator = torch.Generator().manual_seed(7)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def names(size):
        return torch.randint(-1, 2, (size,), generator=generator)

    m = options.get("bank", 0)
    data = {"queries": normal(n, 4), "keys": normal(n, 4)}
    parameters = {"encoder": normal(4, D)}
    if options.get("hard"):
        data["hard"] = normal(n, H, 4)
    if options.get("weighed"):
        data["hard_weight"] = normal(n, H).clamp(min=0)
    for name in ("labels", "ids"):
        if options.get(name):
            data[name], data[f"{name} of the bank"] = names(n), names(m) if options.get("named") else names(0)
    if options.get("log_q"):
        data["log_q"], data["log_q of the bank"] = normal(n), normal(m)
        if options["log_q"] == "all":
            data["log_q of hard"] = normal(n, H)
    if "bank" in options:
        parameters["bank"] = normal(m, D)
    parameters["temperature"] = torch.tensor(0.3, dtype=torch.float64)
    passed = ("symmetric", "correct_positive", "debias", "hardness")
    return data, parameters, {name: options[name] for name in passed if name in options}


def loss_of(function, data, parameters, options, learned, **more):
    def joined(name):
        parts = [
            data[name],
            *(data[f"{name} of {part}"] for part in ("the bank", "hard") if f"{name} of {part}" in data),
        ]
        return torch.cat([part.flatten() for part in parts])

    encoder = parameters["encoder"]
    given = {name: joined(name) for name in ("labels", "ids", "log_q") if name in data}
    if "hard" in data:
        given["hard"] = data["hard"] @ encoder
    if "hard_weight" in data:
        given["hard_weight"] = data["hard_weight"]
    if "bank" in parameters:
        given["bank"] = parameters["bank"]
    temperature = parameters["temperature"] if learned else 0.3
    return function(
        data["queries"] @ encoder, data["keys"] @ encoder, temperature=temperature, **given, **options, **more
    )


def found(function, case, world, rank=None, **more):
    """Loss, gradients of the parameters and diagnostics; of one process without `rank`."""
    data, parameters, options = problem(case, world)
    sizes = rows_of(case, world)
    if rank is not None:
        own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        data = {name: value if "bank" in name else value[own] for name, value in data.items()}
        if CASES[case].get("sizes"):
            more["sizes"] = sizes
    learned = CASES[case].get("learned", False)
    for name, value in parameters.items():
        value.requires_grad_(name != "temperature" or learned)
    loss, diagnostics = loss_of(function, data, parameters, options, learned, **more)
    loss.backward()
    gradients = {name: value.grad for name, value in parameters.items() if value.requires_grad}
    return {"loss": loss.detach(), "gradients": gradients, "diagnostics": diagnostics}


def run_cases(rank, world):
    results = {}
    for case in CASES:
        for way, function in WAYS.items():
            results[case, way] = found(function, case, world, rank)
        results[case, "tiles"] = found(gathered_info_nce, case, world, rank, backend="chunked")
    for extra in (
        distributed_data_parallel,
        rows_held,
        weighed_by_rank,
        order_of_gradients,
        half_precision,
        no_gradient_without_rows,
        a_part_of_the_ranks,
        errors,
    ):
        results[extra.__name__] = extra(rank, world)
    return results


class Towers(torch.nn.Module):
    """Two encoders and a temperature, in buckets of one parameter each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key = torch.nn.Linear(4, D).double(), torch.nn.Linear(4, D).double()
        self.temperature = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, queries, keys):
        return self.query(queries), self.key(keys), self.temperature * 1


def distributed_data_parallel(rank, world):
    """Gradients that DDP leaves in the parameters."""
    data, _, _ = problem("no rows on the first rank", world)
    sizes = rows_of("no rows on the first rank", world)
    own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    results = {}
    for way, function in WAYS.items():
        for symmetric in (True, False):
            model = DistributedDataParallel(Towers(), bucket_cap_mb=1e-5)
            for _ in range(2):
                model.zero_grad()
                queries, keys, temperature = model(data["queries"][own], data["keys"][own])
                function(queries, keys, temperature=temperature, symmetric=symmetric).loss.backward()
            results[way, symmetric] = [parameter.grad for parameter in model.parameters()]
    return results


def rows_held(rank, world):
    """The largest number of columns that were compared at once."""
    seen = []

    class Watched(ring.Chunked):
        def __init__(self, comparison):
            seen.append(len(comparison.columns))
            super().__init__(comparison)

    before = dict(ring.ENGINES)
    ring.ENGINES["auto"] = Watched
    try:
        found(ring_info_nce, "labels", world, rank)
    finally:
        ring.ENGINES.update(before)
    return max(seen, default=0)


def weighed_by_rank(rank, world):
    """Where each rank multiplies its loss with another number, gradients keep the number of the loss they are of."""
    results = []
    for function in WAYS.values():
        data, parameters, options = problem("plain", world)
        own = slice(sum(SIZES[world][:rank]), sum(SIZES[world][: rank + 1]))
        parameters["encoder"].requires_grad_()
        data = {name: value[own] for name, value in data.items()}
        (loss_of(function, data, parameters, options, False).loss * (rank + 1)).backward()
        results.append(parameters["encoder"].grad)
    return results


def order_of_gradients(rank, world):
    """What happens in the backward pass of the gathered loss, in one direction."""
    n, events = rank, []
    tensors = {name: torch.ones(n, D, requires_grad=True) for name in ("queries", "keys")}
    tensors |= {"bank": torch.ones(2, D, requires_grad=True), "temperature": torch.ones((), requires_grad=True)}
    tensors["hard"] = torch.ones(n, H, D, requires_grad=True)
    for name, tensor in tensors.items():
        tensor.register_hook(lambda _, name=name: events.append(name))
    before = Team.reduce

    def watched(team, own, others):
        events.append("reduce")
        return before(team, own, others)

    Team.reduce = watched
    try:
        gathered_info_nce(**tensors, symmetric=False).loss.backward()
    finally:
        Team.reduce = before
    return events


def half_precision(rank, world):
    data, _, _ = problem("as many rows on each rank", world)
    queries, keys = (data[name][2 * rank :][:2].bfloat16().requires_grad_() for name in ("queries", "keys"))
    results = {}
    for way, function in WAYS.items():
        queries.grad = keys.grad = None
        loss = function(queries, keys, temperature=0.3).loss
        loss.backward()
        results[way] = loss.detach(), queries.grad, keys.grad
    return results


def no_gradient_without_rows(rank, world):
    """A rank without rows may hand over constants, and evaluation needs no gradient anywhere."""
    data, _, _ = problem("rows on the last rank only", world)
    n = 4 if rank == world - 1 else 0
    queries, keys = data["queries"][:n].requires_grad_(n > 0), data["keys"][:n]
    for function in WAYS.values():
        function(queries, keys, temperature=0.3).loss.backward()
        function(queries, keys, temperature=0.3, sizes=rows_of("rows on the last rank only", world)).loss.backward()
        with torch.no_grad():
            assert not function(queries, keys, temperature=0.3).loss.requires_grad
    return queries.grad


def a_part_of_the_ranks(rank, world):
    members = [0, world - 1]
    group = dist.new_group(members)
    if rank not in members:
        try:
            gathered_info_nce(torch.ones(1, 1), torch.ones(1, 1), temperature=1.0, group=group)
        except ConfigError as error:
            return str(error)
    return [found(way, "plain", 2, members.index(rank), group=group) for way in WAYS.values()]


def errors(rank, world):
    """What each rank raises where the last one is wrong, or all are."""
    last = rank == world - 1
    x = torch.eye(4, dtype=torch.float64)[:2]
    wrong = {
        "d": lambda f: f(x[:, : 3 if last else 4], x[:, : 3 if last else 4], temperature=1.0),
        "type": lambda f: f(x.float() if last else x, x, temperature=1.0),
        "shape": lambda f: f(x, x[: 1 if last else 2], temperature=1.0),
        "dimensions": lambda f: f(x[0] if last else x, x, temperature=1.0),
        "value": lambda f: f(x / (0.0 if last else 1.0), x, temperature=1.0),
        "labels": lambda f: f(x, x, temperature=1.0, labels=None if last else torch.arange(2)),
        "direction": lambda f: f(x, x, temperature=1.0, symmetric=last),
        "function": lambda f: (gathered_info_nce if last else ring_info_nce)(x, x, temperature=1.0),
        "no rows": lambda f: f(x[:0], x[:0], temperature=1.0),
        "backend": lambda f: f(x, x, temperature=1.0, backend="quantum"),
        "one backend": lambda f: f(x, x, temperature=1.0, backend="quantum" if last else "auto"),
        "sizes": lambda f: f(x, x, temperature=1.0, sizes=[3] * world),
    }
    results = {}
    for case, call in wrong.items():
        for way, function in WAYS.items():
            try:
                call(function)
            except GenocontrastError as error:
                results[case, way] = type(error), str(error)
    try:
        ring_info_nce(x, x, temperature=1.0, backend="eager")
    except ConfigError as error:
        results["eager ring"] = str(error)
    return results


def work(rank, world, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=world,
        timeout=datetime.timedelta(seconds=60),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = run_cases(rank, world)
    torch.save(results, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def spawned(world, folder, seconds=150):
    """What each rank found; a hang is a failure."""
    context = mp.spawn(work, (world, str(folder)), nprocs=world, join=False)
    deadline = time.monotonic() + seconds
    try:
        while not context.join(timeout=1):
            assert time.monotonic() < deadline, "the ranks wait for each other"
    finally:
        for process in context.processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world)]


@pytest.fixture(scope="module", params=[2, 3, 4], ids="{} ranks".format)
def world(request):
    return request.param


@pytest.fixture(scope="module")
def ranks(world, tmp_path_factory):
    return spawned(world, tmp_path_factory.mktemp("ranks"))


def mean(values):
    return torch.stack(list(values)).mean(0)


def close(one, other, **tolerance):
    torch.testing.assert_close(one, other, **(tolerance or {"rtol": 1e-10, "atol": 1e-10}))


@pytest.mark.parametrize("way", [*WAYS, "tiles"])
@pytest.mark.parametrize("case", CASES)
def test_mean_over_ranks_is_the_loss_and_the_gradient_of_one_process(ranks, world, case, way):
    expected = found(info_nce, case, world)
    close(mean(rank[case, way]["loss"] for rank in ranks), expected["loss"])
    for name, gradient in expected["gradients"].items():
        close(mean(rank[case, way]["gradients"][name] for rank in ranks), gradient)


@pytest.mark.parametrize("way", [*WAYS, "tiles"])
@pytest.mark.parametrize("case", CASES)
def test_local_diagnostics_weighed_by_rows_are_those_of_one_process(ranks, world, case, way):
    expected = found(info_nce, case, world)["diagnostics"]
    sizes = rows_of(case, world)
    local = [rank[case, way]["diagnostics"] for rank in ranks]
    for name in ("accuracy", "alignment", "hard_share"):
        average = sum(own[name].double() * n for own, n in zip(local, sizes, strict=True)) / sum(sizes)
        close(average, expected[name].double(), rtol=1e-6, atol=1e-6)
    for own, rank in zip(local, ranks, strict=True):
        other = rank[case, "gathered"]["diagnostics"]
        assert own.keys() == expected.keys()
        for name in own.keys() - {"backend"}:
            close(own[name], other[name])


def test_a_rank_without_rows_has_a_loss_of_zero(ranks):
    for way in WAYS:
        result = ranks[0]["no rows on the first rank", way]
        assert result["loss"] == 0
        assert result["diagnostics"]["accuracy"] == 0


def test_real_ddp_leaves_the_gradient_of_one_process_on_all_ranks(ranks, world):
    data, _, _ = problem("no rows on the first rank", world)
    for symmetric in (True, False):
        model = Towers()
        queries, keys, temperature = model(data["queries"], data["keys"])
        info_nce(queries, keys, temperature=temperature, symmetric=symmetric).loss.backward()
        for way in WAYS:
            for rank in ranks:
                for gradient, parameter in zip(
                    rank["distributed_data_parallel"][way, symmetric], model.parameters(), strict=True
                ):
                    close(gradient, parameter.grad)


def test_the_ring_never_compares_with_more_keys_than_one_rank_has(ranks, world):
    assert max(rank["rows_held"] for rank in ranks) == max(SIZES[world])


def test_each_loss_may_be_weighed_on_its_own(ranks):
    gathered, around = (mean(rank["weighed_by_rank"][i] for rank in ranks) for i in (0, 1))
    assert gathered.abs().max() > 0.01
    close(gathered, around)


def test_no_gradient_leaves_before_the_collective_so_that_those_of_ddp_come_after_it(ranks):
    for rank in ranks:
        first, *others = rank["order_of_gradients"]
        assert first == "reduce"
        assert {*others} == {"queries", "keys", "bank", "temperature", "hard"}


def test_half_precision_is_sent_as_it_is_and_computed_in_single(ranks, world):
    data, _, _ = problem("as many rows on each rank", world)
    queries, keys = (data[name].bfloat16().requires_grad_() for name in ("queries", "keys"))
    loss = info_nce(queries, keys, temperature=0.3).loss
    loss.backward()
    for way in WAYS:
        losses, *gradients = zip(*(rank["half_precision"][way] for rank in ranks), strict=True)
        close(mean(losses), loss.detach(), rtol=1e-6, atol=1e-6)
        for gradient, expected in zip(gradients, (queries.grad, keys.grad), strict=True):
            assert gradient[0].dtype == torch.bfloat16
            close(torch.cat(gradient) / world, expected, rtol=1e-2, atol=1e-4)


def test_a_rank_without_rows_or_gradients_does_not_keep_the_others_waiting(ranks, world):
    assert ranks[-1]["no_gradient_without_rows"].abs().sum() > 0
    assert all(rank["no_gradient_without_rows"] is None for rank in ranks[:-1])


def test_a_group_of_some_of_the_ranks(ranks, world):
    expected = found(info_nce, "plain", 2)
    for i in range(2):
        of_way = [ranks[member]["a_part_of_the_ranks"][i] for member in (0, -1)]
        close(mean(result["loss"] for result in of_way), expected["loss"])
        close(mean(result["gradients"]["encoder"] for result in of_way), expected["gradients"]["encoder"])
    for rank in ranks[1:-1]:
        assert "in no process group" in rank["a_part_of_the_ranks"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("case", "kind", "words"),
    [
        ("d", ShapeError, "do not agree on d"),
        ("type", ShapeError, "do not agree on the dtype of queries"),
        ("shape", ShapeError, "keys must have shape|arguments that are wrong"),
        ("dimensions", ShapeError, "queries must have shape|arguments that are wrong"),
        ("value", ShapeError, "not finite|arguments that are wrong"),
        ("labels", ShapeError, "do not agree on .*options"),
        ("direction", ShapeError, "do not agree on .*options"),
        ("function", ShapeError, "do not agree on .*options"),
        ("no rows", ShapeError, "no rank has rows"),
        ("backend", ConfigError, "no such backend"),
        ("one backend", GenocontrastError, "no such backend|arguments that are wrong"),
        ("sizes", ShapeError, "sizes must give"),
    ],
)
def test_an_error_on_one_rank_is_an_error_on_all(ranks, case, kind, words, way):
    for rank in ranks:
        raised, message = rank["errors"][case, way]
        with pytest.raises(kind, match=words):
            raise raised(message)


def test_the_ring_names_the_backend_that_it_lacks(ranks):
    assert "ring has no such backend" in ranks[0]["errors"]["eager ring"]


@pytest.mark.parametrize("function", WAYS.values(), ids=WAYS)
def test_without_a_process_group_the_remedy_is_named(function):
    with pytest.raises(ConfigError, match="info_nce"):
        function(torch.ones(1, 1), torch.ones(1, 1), temperature=1.0)
