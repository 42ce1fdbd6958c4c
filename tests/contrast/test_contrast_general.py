"""The engine outside of genomics, by the same calls: a protein network, two sites, attention."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from genocontrast.contrast import BankExport, MemoryBank, energy, info_nce


@pytest.fixture(scope="module")
def network(data):
    """Interactions of yeast proteins: training and test edges, and who shares a neighbour with whom."""
    edges = [line.split()[:2] for line in (data / "ppi" / "Krogan-2006.txt").read_text().splitlines() if line.strip()]
    names = sorted({name for edge in edges for name in edge})
    number = {name: i for i, name in enumerate(names)}
    pairs = np.array(sorted({tuple(sorted((number[a], number[b]))) for a, b in edges if a != b}))
    test = np.random.default_rng(0).random(len(pairs)) < 0.15
    linked = np.zeros((len(names), len(names)), bool)
    linked[tuple(pairs.T)] = linked[tuple(pairs.T[::-1])] = True
    known = linked.copy()
    known[tuple(pairs[test].T)] = known[tuple(pairs[test].T[::-1])] = False
    counts = known.astype(np.float32)  # of floats, because products of integers have no fast library
    sharing = (counts @ counts > 0) & ~linked
    np.fill_diagonal(sharing, False)
    return pairs[~test], pairs[test], known, sharing


def trained(network, *, hard, epochs=10, batch=512):
    """Vectors of the proteins; the neighbour of a protein is its key, and hard negatives share a neighbour with it."""
    train, _, known, sharing = network
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    table = torch.nn.Parameter(torch.randn(len(known), 32, generator=generator))
    optimiser = torch.optim.Adam([table], lr=0.02)
    neighbours = torch.from_numpy(known)
    for _ in range(epochs):
        for some in np.array_split(rng.permutation(len(train)), len(train) // batch):
            queries, keys = torch.from_numpy(train[some].T)
            options = {}
            if hard:
                chosen = np.array(
                    [rng.choice(np.flatnonzero(sharing[q]), 4) if sharing[q].any() else [q] * 4 for q in queries]
                )
                options["hard"] = table[torch.from_numpy(chosen)]
                options["hard_weight"] = 20 * torch.from_numpy(chosen != queries[:, None].numpy()).float()
            # all neighbours of a protein in the batch are its positives, not only the one it came with
            found = [torch.nonzero(row).flatten()[:8] for row in neighbours[queries][:, keys]]
            positives = torch.nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=-1)
            loss, _ = info_nce(
                table[queries], table[keys], temperature=0.2, positives=positives, symmetric=False, **options
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return torch.nn.functional.normalize(table.detach(), dim=1)


def test_proteins_that_share_a_neighbour_are_told_from_those_that_interact(network):
    train, test, _, sharing = network
    rng = np.random.default_rng(1)
    # beside each interaction a pair of its first protein with one that only shares a neighbour, and with any protein
    decoys = np.array([(a, rng.choice(np.flatnonzero(sharing[a]))) for a, _ in train if sharing[a].any()])
    random = np.stack([test[:, 0], rng.integers(0, len(sharing), len(test))], 1)
    of_decoys, of_random = {}, {}
    for hard in (False, True):
        vectors = trained(network, hard=hard)
        of_decoys[hard], of_random[hard] = auroc(vectors, train, decoys), auroc(vectors, test, random)
    assert of_decoys[True] > of_decoys[False] + 0.01
    # interactions that were held out rank above random pairs either way
    assert min(of_random.values()) > 0.65


def auroc(vectors, pairs, others):
    scores = [(vectors[some[:, 0]] * vectors[some[:, 1]]).sum(1) for some in (pairs, others)]
    return roc_auc_score(np.repeat([1, 0], [len(pairs), len(others)]), torch.cat(scores))


def test_two_sites_that_exchange_stale_banks(tmp_path):
    torch.manual_seed(0)
    encoder = torch.nn.Linear(6, 4).double()
    banks = [MemoryBank(8, 4, dtype=torch.float64) for _ in range(2)]
    worlds = [torch.randn(5, 6, dtype=torch.float64) for _ in banks]
    ids = torch.tensor([7, 8, 9, 10, 11])
    for bank, world in zip(banks, worlds, strict=True):
        bank.add(encoder(world), ids=ids)
    stale = [torch.nn.functional.normalize(encoder(world).detach(), dim=1) for world in worlds]
    banks[1].export(clip=0.5, count=3).save(tmp_path / "site.safetensors")
    with torch.no_grad():
        encoder.weight += 0.1 * torch.randn_like(encoder.weight)
    banks[0].merge(BankExport.load(tmp_path / "site.safetensors"))

    # both sites number their items from 7 on: an item of the other site is nobody's twin here
    queries, keys = encoder(worlds[0]), encoder(worlds[0] + 0.1)
    loss, diagnostics = info_nce(queries, keys, temperature=0.3, symmetric=False, **banks[0].arguments(ids=ids))
    gradient = torch.autograd.grad(loss, encoder.weight, retain_graph=True)[0]
    everything = torch.cat([stale[0], stale[1][-3:]]).to(torch.float32).double()  # an export travels as float32
    everything[:5] = stale[0]
    logits = -energy(queries, torch.cat([keys, everything]), temperature=0.3)
    twins = torch.cat([torch.zeros(5, 5), torch.eye(5), torch.zeros(5, 3)], 1).bool()
    expected = torch.nn.functional.cross_entropy(logits.masked_fill(twins, -math.inf), torch.arange(5))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(gradient, torch.autograd.grad(expected, encoder.weight)[0], rtol=1e-5, atol=1e-7)
    assert diagnostics["negative_similarity"].abs() < 1
    # how far the own entries have drifted since they were stored
    drift = banks[0].staleness(encoder(worlds[0]).detach(), ids).drift
    assert (drift[:5] > 1e-6).all()
    assert drift[5:].isnan().all()


def test_attention_is_info_nce():
    queries, keys = (torch.randn(n, 16, dtype=torch.float64) for n in (5, 5))
    memory, right = torch.randn(7, 16, dtype=torch.float64), torch.tensor([3, 0, 11, 4, 7])
    everything, temperature = torch.cat([keys, memory]), 0.3
    units = [torch.nn.functional.normalize(vectors, dim=1) for vectors in (queries, everything)]
    weights = torch.nn.functional.scaled_dot_product_attention(
        *units, torch.eye(12, dtype=torch.float64), scale=1 / temperature
    )
    assert torch.allclose(weights, (-energy(queries, everything, temperature=temperature)).softmax(1))
    for backend in ("eager", "chunked"):
        loss, _ = info_nce(
            queries,
            keys,
            bank=memory,
            positives=right[:, None],
            temperature=temperature,
            symmetric=False,
            backend=backend,
        )
        assert loss.item() == pytest.approx(-weights[torch.arange(5), right].log().mean().item(), rel=1e-12)
