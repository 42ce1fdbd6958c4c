import copy
import math
from collections import deque

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.contrast import info_nce
from genocontrast.contrast.bank import BankExport, MemoryBank, MomentumEncoder
from genocontrast.errors import ConfigError, FileFormatError, ShapeError

DIM = 3
COLUMNS = ("keys", "ids", "labels", "log_q", "age")


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def batch(size, seed=0):
    ids = torch.arange(size) + 100 * seed
    return {"keys": normal(size, DIM, seed=seed), "ids": ids, "labels": ids % 3, "log_q": -1.0 - ids / 10}


def filled(capacity=6, adds=(2, 3, 4), dtype=torch.float32):
    bank = MemoryBank(capacity, DIM, dtype=dtype)
    for seed, size in enumerate(adds, 1):
        bank.add(**batch(size, seed))
    return bank


def equal(bank, other):
    return all(torch.equal(getattr(bank, name), getattr(other, name)) for name in COLUMNS) and len(bank) == len(other)


def unit_row(row):
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


@given(
    capacity=st.integers(1, 7),
    adds=st.lists(st.tuples(st.integers(0, 10), st.sets(st.sampled_from(["ids", "labels", "log_q"]))), max_size=8),
)
def test_a_bank_is_a_deque(capacity, adds):
    bank, expected = MemoryBank(capacity, DIM), deque(maxlen=capacity)
    for seed, (size, given_columns) in enumerate(adds):
        rows = {name: value for name, value in batch(size, seed).items() if name in {"keys", *given_columns}}
        for entry in expected:
            entry["age"] += 1
        for i, key in enumerate(rows["keys"].tolist()):
            entry = {"keys": unit_row(key), "ids": -1, "labels": -1, "log_q": 0.0, "age": 0}
            expected.append(entry | {name: rows[name][i].item() for name in given_columns})
        assert bank.add(**rows) == max(size - capacity, 0)
        assert len(bank) == len(expected)
        for name in COLUMNS:
            wanted = [entry[name] for entry in expected]
            shape = (len(expected), DIM) if name == "keys" else (len(expected),)
            torch.testing.assert_close(getattr(bank, name), torch.tensor(wanted).reshape(shape), check_dtype=False)


def test_the_types_of_the_columns():
    bank = filled(dtype=torch.bfloat16)
    assert [getattr(bank, name).dtype for name in COLUMNS] == [
        torch.bfloat16,
        torch.int64,
        torch.int64,
        torch.float32,
        torch.int64,
    ]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_keys_of_any_type_and_size_become_unit_vectors(dtype):
    bank = MemoryBank(2, DIM, dtype=torch.float64)
    bank.add(torch.tensor([[3, 0, 4], [0, 0, 0]], dtype=dtype) * 1024)
    exact = torch.tensor([[0.6, 0, 0.8], [0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(bank.keys, exact, atol=1e-7 if dtype != torch.float64 else 1e-15, rtol=0)


def test_everything_moves_with_the_module():
    bank = filled().to("meta")
    assert len(bank) == 6  # no value is read: a meta tensor has none
    assert {getattr(bank, name).device.type for name in COLUMNS} == {"meta"}
    bank.add(torch.empty(4, DIM, device="meta"), ids=torch.empty(4, dtype=torch.int64, device="meta"))
    assert len(MemoryBank(6, DIM).to("meta")) == 0


@pytest.mark.parametrize("adds", [(2,), (2, 3, 4), (6,)])
def test_what_a_bank_gives_out_is_not_changed_by_a_later_add(adds):
    bank = filled(adds=adds)
    before = {name: getattr(bank, name) for name in COLUMNS}
    copies = {name: value.clone() for name, value in before.items()}
    bank.add(**batch(4, seed=9))
    for name in COLUMNS:
        assert torch.equal(before[name], copies[name])
    assert not torch.equal(bank.keys, copies["keys"])


def test_adding_between_forward_and_backward_leaves_the_gradient_right():
    def gradient(add_first):
        bank = filled()
        queries, keys = normal(4, DIM, seed=20).requires_grad_(), normal(4, DIM, seed=21).requires_grad_()
        loss = info_nce(queries, keys, temperature=0.3, **bank.arguments()).loss
        if add_first:
            bank.add(keys)
            assert not bank.keys.requires_grad
        loss.backward()
        return torch.cat([queries.grad, keys.grad])

    assert torch.equal(gradient(add_first=True), gradient(add_first=False))


def test_a_new_bank_is_empty_and_changes_no_loss():
    queries, keys = normal(4, DIM, seed=1), normal(4, DIM, seed=2)
    bank, plain = MemoryBank(8, DIM), info_nce(queries, keys, temperature=0.2).loss
    assert len(bank) == 0
    assert bank.arguments()["bank"].shape == (0, DIM)
    assert torch.equal(info_nce(queries, keys, temperature=0.2, **bank.arguments()).loss, plain)
    bank.add(normal(2, DIM, seed=3))
    assert info_nce(queries, keys, temperature=0.2, **bank.arguments()).loss > plain


def test_the_loss_corrects_the_bank_by_its_log_q():
    bank, queries, keys = filled(), normal(4, DIM, seed=1), normal(4, DIM, seed=2)
    own = -torch.arange(1.0, 5.0)
    found = info_nce(queries, keys, temperature=0.5, symmetric=False, **bank.arguments(log_q=own)).loss
    unit = torch.nn.functional.normalize
    logits = unit(queries) @ torch.cat([unit(keys), bank.keys]).T / 0.5 - torch.cat([own, bank.log_q])
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, torch.arange(4)))


def test_columns_of_the_batch_come_before_those_of_the_bank():
    bank = MemoryBank(4, DIM)
    bank.add(normal(2, DIM), labels=torch.tensor([5, 6]))
    own = {"ids": torch.tensor([7, 8, 9], dtype=torch.int32), "log_q": torch.tensor([-1.0, -2.0, -3.0])}
    arguments = bank.arguments(**own)
    assert arguments["ids"].tolist() == [7, 8, 9, -1, -1]
    assert arguments["log_q"].tolist() == [-1, -2, -3, 0, 0]
    assert arguments["labels"] is None  # those of the bank could equal none of the batch
    assert bank.arguments(labels=torch.tensor([6]))["labels"].tolist() == [6, 5, 6]
    assert set(arguments) == {"bank", "ids", "labels", "log_q"}


@pytest.mark.parametrize("column", ["ids", "labels"])
def test_the_loss_knows_the_ids_and_labels_of_the_bank(column):
    queries, keys, t = normal(3, DIM, seed=1, dtype=torch.float64), normal(3, DIM, seed=2, dtype=torch.float64), 0.4
    bank = MemoryBank(8, DIM, dtype=torch.float64)
    bank.add(normal(4, DIM, seed=3, dtype=torch.float64), **{column: torch.tensor([2, 0, -1, 2])})
    own = torch.tensor([0, -1, 2])
    found = info_nce(queries, keys, temperature=t, symmetric=False, **bank.arguments(**{column: own})).loss
    unit = torch.nn.functional.normalize
    logits = unit(queries) @ torch.cat([unit(keys), bank.keys]).T / t
    expected = []
    for pair, (row, same) in enumerate(zip(logits, [[0, 4], [1], [2, 3, 6]], strict=True)):
        others = [c for c in range(7) if c not in same]
        positives, candidates = (same, range(7)) if column == "labels" else ([pair], [pair, *others])
        expected.append(row[list(candidates)].logsumexp(0) - row[positives].mean())
    torch.testing.assert_close(found, torch.stack(expected).mean())


@pytest.mark.parametrize("adds", [(), (2,), (2, 3, 4)])
def test_a_checkpoint_brings_back_the_bank_and_its_behaviour(tmp_path, adds):
    bank = filled(adds=adds)
    torch.save(bank.state_dict(), tmp_path / "checkpoint.pt")
    restored = MemoryBank(6, DIM)
    restored.add(**batch(5, seed=50))
    restored.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    duplicate = copy.deepcopy(bank)
    for seed in range(60, 64):
        assert equal(bank, restored)
        assert equal(bank, duplicate)
        for one in (bank, restored, duplicate):
            one.add(**batch(4, seed))
    assert restored.state_dict().keys() == bank.state_dict().keys()


@pytest.mark.parametrize("size", [(5, DIM), (6, DIM + 1)])
def test_a_checkpoint_of_another_size_is_refused_whole(size):
    model, saved = torch.nn.ModuleDict({"bank": filled()}), torch.nn.ModuleDict({"bank": MemoryBank(*size)})
    before = copy.deepcopy(model["bank"])
    with pytest.raises(ShapeError, match=r"than \(6, 3\) \(got .*\n.*MemoryBank\(") as error:
        model.load_state_dict(saved.state_dict())
    assert error.value.value == size
    assert equal(model["bank"], before)


def test_drift_of_a_known_rotation():
    bank = MemoryBank(5, 2)
    for step in range(3):
        bank.add(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), ids=torch.tensor([step, -1]))

    def turned(degrees, length):
        return [length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees))]

    # an encoder that has turned 60 degrees since id 1 was stored and 180 since id 0; id 77 was never stored
    fresh = torch.tensor([turned(60, 3), turned(10, 1), turned(180, 2), turned(5, 1)])
    age, drift = bank.staleness(fresh, torch.tensor([1, 77, 0, -1]))
    assert age.tolist() == [2, 1, 1, 0, 0]
    assert bank.ids.tolist() == [-1, 1, -1, 2, -1]
    torch.testing.assert_close(drift, torch.tensor([math.nan, 0.5, math.nan, math.nan, math.nan]), equal_nan=True)


def test_drift_of_an_id_that_is_stored_twice():
    bank = MemoryBank(4, 2)
    bank.add(torch.tensor([[1.0, 0.0]]), ids=torch.tensor([8]))
    bank.add(torch.tensor([[0.0, 1.0], [0.0, -1.0]]), ids=torch.tensor([8, 9]))
    age, drift = bank.staleness(torch.tensor([[0.0, 5.0], [0.0, -5.0]]), torch.tensor([8, 9]))
    assert age.tolist() == [1, 0, 0]
    torch.testing.assert_close(drift, torch.tensor([1.0, 0.0, 0.0]))
    assert len(MemoryBank(4, 2).staleness(torch.ones(1, 2), torch.tensor([8])).drift) == 0


def test_an_export_is_clipped_and_has_no_ids_and_no_labels_unless_asked_for():
    bank = filled()
    exported = bank.export(clip=0.25, count=4)
    torch.testing.assert_close(exported.keys, bank.keys[2:] * 0.25)
    assert exported.labels.tolist() == [-1] * 4
    assert torch.equal(bank.export(labels=True).labels, bank.labels)
    assert torch.equal(exported.age, bank.age[2:])
    assert torch.equal(exported.log_q, bank.log_q[2:])
    assert "ids" not in BankExport._fields
    assert len(bank.export(count=99).keys) == len(bank.export().keys) == 6
    assert len(MemoryBank(3, DIM).export().keys) == 0


def test_the_noise_of_an_export_has_the_deviation_that_was_asked_for():
    bank = MemoryBank(2000, 16)
    bank.add(normal(2000, 16))
    quiet, loud = bank.export(clip=0.5), bank.export(clip=0.5, noise=0.3, generator=torch.Generator().manual_seed(1))
    difference = loud.keys - quiet.keys
    assert difference.std().item() == pytest.approx(0.3 * 0.5, rel=0.02)  # 32000 draws: the deviation's error is 0.4 %
    assert abs(difference.mean().item()) < 0.005
    assert torch.equal(loud.keys, bank.export(clip=0.5, noise=0.3, generator=torch.Generator().manual_seed(1)).keys)
    assert not torch.equal(loud.keys, bank.export(clip=0.5, noise=0.3).keys)


def test_a_merge_appends_unit_vectors_with_their_ages_and_without_ids():
    here, there = filled(capacity=8, adds=(2, 3)), filled(capacity=6, adds=(2, 3, 4))
    before = copy.deepcopy(here)
    exported = there.export(clip=0.1, noise=0.2, labels=True)
    assert here.merge(exported) == 0
    assert len(here) == 8
    assert here.ids.tolist() == [*before.ids[3:].tolist(), *[-1] * 6]
    assert torch.equal(here.labels, torch.cat([before.labels[3:], there.labels]))
    assert torch.equal(here.age, torch.cat([before.age[3:], there.age]))
    assert torch.equal(here.log_q, torch.cat([before.log_q[3:], there.log_q]))
    torch.testing.assert_close(here.keys[2:], torch.nn.functional.normalize(exported.keys))
    here.add(normal(1, DIM))
    assert here.age.tolist() == [*(before.age[4:] + 1).tolist(), *(there.age + 1).tolist(), 0]
    assert MemoryBank(4, DIM).merge(exported) == 2


def test_a_file_gives_back_the_export(tmp_path):
    bank, path = filled(), tmp_path / "made" / "bank.safetensors"
    exported = bank.export(clip=0.5, noise=0.1, labels=True, count=3)
    exported.save(path)
    first = path.read_bytes()
    exported.save(path)
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    loaded = BankExport.load(path)
    assert (loaded.clip, loaded.noise) == (0.5, 0.1)
    assert all(torch.equal(a, b) for a, b in zip(loaded[:4], exported[:4], strict=True))
    assert b'\\"clip\\": 0.5, \\"dim\\": 3, \\"noise\\": 0.1' in first


def test_a_write_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "bank.safetensors"
    filled().export().save(path)
    before = path.read_bytes()

    def full_disk(tensors, name, metadata):
        name.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("genocontrast.contrast.bank.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        filled(adds=(3,)).export().save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_and_damaged_files_are_named(tmp_path):
    path = tmp_path / "bank.safetensors"
    filled().export().save(path)
    whole = path.read_bytes()
    for content in (
        whole[:-5],
        b"",
        whole.replace(b"memory bank", b"merry banks"),
        whole.replace(b'"log_q"', b'"log_p"'),
    ):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"bank\.safetensors: not a readable export of a memory bank"):
            BankExport.load(path)
    with pytest.raises(FileFormatError, match=r"absent: not a readable .*[Nn]o such file"):
        BankExport.load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": torch.ones(6, DIM + 1)}, r"keys must have shape \(6, 3\) \(got \(6, 4\)\)"),
        ({"keys": torch.ones(6, DIM, dtype=torch.int64)}, "keys must hold fractions"),
        ({"keys": torch.full((6, DIM), math.nan)}, "keys holds values that are not finite"),
        ({"log_q": torch.full((6,), -math.inf)}, "log_q holds values that are not finite"),
        ({"labels": torch.zeros(5, dtype=torch.int64)}, r"labels must have shape \(6,\)"),
        ({"age": torch.full((6,), -2)}, r"age must not be negative \(got -2\)"),
        ({"age": torch.zeros(6)}, r"age must hold integers \(got 'torch.float32'\)"),
    ],
)
def test_a_merge_checks_what_it_was_given_and_changes_nothing(change, message):
    bank = filled(adds=(2,))
    before = copy.deepcopy(bank)
    with pytest.raises(ShapeError, match=message):
        bank.merge(filled().export()._replace(**change))
    assert equal(bank, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": torch.ones(2)}, r"keys must have shape \(2, 3\)"),
        ({"keys": torch.tensor(1.0)}, "keys must have shape"),
        ({"keys": torch.full((2, DIM), math.inf)}, "keys holds values that are not finite"),
        ({"ids": torch.ones(2)}, "ids must hold integers"),
        ({"ids": torch.arange(3)}, r"ids must have shape \(2,\) \(got \(3,\)\)"),
        ({"labels": torch.ones(2, 1, dtype=torch.int64)}, r"labels must have shape \(2,\)"),
        ({"log_q": torch.tensor([0.0, math.nan])}, "log_q holds values"),
    ],
)
def test_an_add_that_is_refused_changes_nothing(change, message):
    bank = filled(adds=(2,))
    before = copy.deepcopy(bank)
    with pytest.raises(ShapeError, match=message):
        bank.add(**(batch(2) | change))
    assert equal(bank, before)


def test_options_out_of_range_are_refused():
    for capacity, dim, dtype in [(0, 3, torch.float32), (3, 0, torch.float32), (3, 3, torch.int64)]:
        with pytest.raises(ConfigError, match="capacity >= 1"):
            MemoryBank(capacity, dim, dtype=dtype)
    for options in [
        {"clip": 0.0},
        {"clip": 1.5},
        {"clip": math.nan},
        {"noise": -1.0},
        {"noise": math.inf},
        {"count": 0},
    ]:
        with pytest.raises(ConfigError, match="needs clip"):
            filled().export(**options)
    for momentum in (-0.1, 1.0, math.nan):
        with pytest.raises(ConfigError, match="momentum"):
            MomentumEncoder(torch.nn.Linear(1, 1), momentum)
    with pytest.raises(ShapeError, match="no fresh keys"):
        filled().staleness(torch.ones(0, DIM), torch.arange(0))


def test_the_momentum_encoder_follows_as_the_closed_form_says():
    online = torch.nn.Linear(3, 2).double()
    start = {name: value.detach().clone() for name, value in online.named_parameters()}
    slow = MomentumEncoder(online, momentum=0.9)
    torch.nn.init.constant_(online.weight, 5.0)
    for _ in range(7):
        slow.update(online)
    expected = 0.9**7 * start["weight"] + (1 - 0.9**7) * 5.0
    torch.testing.assert_close(slow.encoder.weight, torch.nn.Parameter(expected, requires_grad=False))
    torch.testing.assert_close(slow.encoder.bias, torch.nn.Parameter(start["bias"], requires_grad=False))
    assert bool((online.weight == 5.0).all())


def test_the_momentum_encoder_is_apart_from_the_online_one():
    online = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5))
    model = torch.nn.ModuleDict({"online": online, "slow": MomentumEncoder(online)})
    slow = model["slow"]
    assert len(list(model.parameters())) == 2 * len(list(online.parameters()))
    assert set(slow.state_dict()) == {f"encoder.{name}" for name in online.state_dict()}
    assert not any(p.requires_grad for p in slow.parameters())
    assert all(p.requires_grad for p in online.parameters())
    model.train()
    assert online.training
    assert not any(module.training for module in slow.modules())
    inputs = normal(8, 3, seed=4).requires_grad_()
    keys = slow(inputs)
    assert not keys.requires_grad
    assert torch.equal(keys, slow(inputs))  # dropout is off
    online(inputs)
    assert not torch.equal(slow.encoder[1].running_mean, online[1].running_mean)
    slow.update(online)
    assert torch.equal(slow.encoder[1].running_mean, online[1].running_mean)
    assert int(slow.encoder[1].num_batches_tracked) == 1


def test_an_encoder_of_another_shape_is_refused_and_changes_nothing():
    slow = MomentumEncoder(torch.nn.Linear(3, 2))
    before = copy.deepcopy(slow.state_dict())
    for other in (torch.nn.Linear(3, 1), torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(1, 2)):
        with pytest.raises(ShapeError, match="other parameters"):
            slow.update(other)
    assert all(torch.equal(value, before[name]) for name, value in slow.state_dict().items())
