import copy
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from genocontrast.contrast import info_nce
from genocontrast.contrast.cache import cached_backward
from genocontrast.errors import ConfigError, ModelError, ShapeError


class Encoder(nn.Module):
    """A small convolutional encoder that notes the size of each batch that it sees."""

    def __init__(self, dropout=0.0, dtype=torch.float32):
        super().__init__()
        self.stem = nn.Conv1d(4, 6, 3, padding=1)
        self.norm = nn.GroupNorm(2, 6)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(6, 5)
        self.to(dtype)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return self.out(self.drop(torch.relu(self.norm(self.stem(x)))).mean(-1))


class Head(nn.Module):
    """A loss with a parameter of its own: its `scale` stands for a learnable temperature."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 0.5, 2.0, 1.5, 1.0], dtype=dtype))
        self.calls = 0

    def forward(self, queries, keys, hard):
        self.calls += 1
        return info_nce(
            queries * self.scale, keys * self.scale, temperature=0.2, hard=hard.reshape(len(queries), -1, 5)
        )


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def make_views(n=7, dtype=torch.float32):
    return [torch.randn(rows, 4, 12, dtype=dtype) for rows in (n, n, 2 * n)]


def grads(*modules):
    return {f"{i}.{name}": p.grad for i, module in enumerate(modules) for name, p in module.named_parameters()}


def assert_same_grads(got, wanted, atol):
    assert got.keys() == wanted.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in wanted.values())
    for name, gradient in wanted.items():
        torch.testing.assert_close(gradient, got[name], atol=atol, rtol=0, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_whole_batch_with_no_more_than_a_chunk_at_a_time(chunk, n, dtype):
    views = make_views(n, dtype)
    whole, head = Encoder(dtype=dtype), Head(dtype)
    encoder, own_head = copy.deepcopy(whole), copy.deepcopy(head)
    expected, diagnostics = head(*map(whole, views))
    expected.backward()
    loss, (own_diagnostics,) = cached_backward(encoder, views, own_head, chunk=chunk)
    atol = 1e-6 if dtype is torch.float32 else 1e-12
    torch.testing.assert_close(loss, expected.detach(), atol=atol, rtol=1e-6)
    torch.testing.assert_close(own_diagnostics["positive_similarity"], diagnostics["positive_similarity"])
    assert not loss.requires_grad
    assert_same_grads(grads(encoder, own_head), grads(whole, head), atol)
    assert max(encoder.seen) == min(chunk, 2 * n)
    assert sum(encoder.seen) == 2 * 4 * n
    assert own_head.calls == 1


def test_the_loss_sees_no_graph_of_the_encoder():
    encoder, held = Encoder(), []
    activations = 2 * 6 * 12  # of one row: convolution and normalisation

    def loss(embedding):
        held.append(embedding.grad_fn is None and embedding.is_leaf and not saved)
        return embedding.square().sum()

    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        cached_backward(encoder, make_views()[0], loss, chunk=2)
    assert held == [True]
    assert max(saved) <= 2 * activations
    whole = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: whole.append(t.numel()) or t, lambda t: t):
        encoder(make_views()[0])
    assert max(whole) > 2 * activations  # the hooks would have seen it


@pytest.mark.parametrize("fails", [False, True])
def test_dropout_masks_are_replayed_and_the_stream_goes_on(fails):
    views, head = make_views(), Head()
    whole = Encoder(dropout=0.5)
    encoder, own_head = copy.deepcopy(whole), copy.deepcopy(head)
    torch.manual_seed(3)
    embeddings = [torch.cat([whole(piece) for piece in view.split(3)]) for view in views]
    head(*embeddings).loss.backward()
    after = torch.get_rng_state()

    if fails:
        # in the middle of the second forward: the first is 3 + 3 + 5 chunks
        encoder.register_forward_pre_hook(lambda *_: None if len(encoder.seen) < 13 else 1 / 0)
    torch.manual_seed(3)
    try:
        cached_backward(encoder, views, own_head, chunk=3)
    except ZeroDivisionError:
        assert fails
    else:
        assert not fails
        assert_same_grads(grads(encoder, own_head), grads(whole, head), 1e-6)
    assert torch.equal(torch.get_rng_state(), after)


def test_random_numbers_of_the_loss_are_drawn_once_and_after_the_chunks():
    view, encoder, drawn = make_views()[0], Encoder(dropout=0.5), []

    def loss(embedding):
        drawn.append(torch.rand(3))
        return embedding.sum()

    torch.manual_seed(4)
    for piece in view.split(2):
        encoder(piece)
    wanted, following = torch.rand(3), torch.rand(3)
    torch.manual_seed(4)
    cached_backward(encoder, view, loss, chunk=2)
    assert torch.equal(drawn[0], wanted)
    assert torch.equal(torch.rand(3), following)


def test_autocast_of_the_caller_holds_in_both_passes():
    views, head = make_views(8), Head()
    whole = Encoder(dropout=0.5)
    encoder, own_head = copy.deepcopy(whole), copy.deepcopy(head)
    kinds = []
    encoder.register_forward_hook(lambda module, args, output: kinds.append(output.dtype))
    torch.manual_seed(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings = [torch.cat([whole(piece) for piece in view.split(4)]) for view in views]
        loss = head(*embeddings).loss
    loss.backward()
    torch.manual_seed(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cached_backward(encoder, views, own_head, chunk=4)
    assert set(kinds) == {torch.bfloat16}
    # the reference adds up its chunks in bfloat16, the cache in float32
    assert_same_grads(grads(encoder, own_head), grads(whole, head), 1e-2)


def test_gradients_accumulate_and_reach_inputs_that_want_them():
    view = make_views()[0].requires_grad_()
    whole = Encoder()
    encoder = copy.deepcopy(whole)
    whole(view).square().sum().backward()
    wanted, view.grad = view.grad, None
    for times in (1, 2):
        cached_backward(encoder, view, lambda embedding: embedding.square().sum(), chunk=3)
        torch.testing.assert_close(view.grad, times * wanted)
        torch.testing.assert_close(encoder.out.weight.grad, times * whole.out.weight.grad)


def test_a_view_that_the_loss_ignores_is_not_embedded_again():
    encoder = Encoder()
    loss, extra = cached_backward(encoder, make_views(4)[:2], lambda queries, keys: (queries.sum(), "more", 2), chunk=3)
    assert extra == ("more", 2)
    assert loss.ndim == 0
    assert encoder.seen == [3, 1, 3, 1, 3, 1]


class Distributed(nn.Module):
    """Stands for DistributedDataParallel: notes whether each forward and backward synchronises."""

    def __init__(self, module):
        super().__init__()
        self.module, self.sync, self.entries = module, True, 0
        self.forwards, self.backwards = [], []
        module.out.bias.register_hook(lambda gradient: self.backwards.append(self.sync))

    def forward(self, x):
        if torch.is_grad_enabled():
            self.forwards.append(self.sync)
        return self.module(x)

    @contextmanager
    def no_sync(self):
        self.sync, self.entries = False, self.entries + 1
        yield
        self.sync = True


@pytest.mark.parametrize("ignore_last_view", [False, True])
def test_only_the_last_chunk_synchronises(ignore_last_view):
    encoder = Distributed(Encoder())

    def loss(queries, keys, hard):
        return info_nce(queries, keys, temperature=0.1).loss + (0 if ignore_last_view else hard.sum())

    cached_backward(encoder, make_views(4), loss, chunk=3)
    wanted = [False] * (3 if ignore_last_view else 6) + [True]
    assert encoder.forwards == encoder.backwards == wanted
    assert encoder.entries == len(wanted) - 1


def square(embedding):
    return embedding.square().sum()


@pytest.mark.parametrize(
    ("module", "path"),
    [
        (nn.Sequential(nn.Conv1d(4, 4, 1), nn.Sequential(nn.BatchNorm1d(4))), "BatchNorm1d at '1.0'"),
        (nn.Sequential(nn.SyncBatchNorm(4)), "SyncBatchNorm at '0'"),
        (nn.BatchNorm1d(4), "BatchNorm1d takes"),
        (nn.InstanceNorm1d(4, affine=True, track_running_stats=True), "InstanceNorm1d takes"),
    ],
)
def test_batch_statistics_are_refused_in_training_and_fine_in_eval(module, path):
    view = make_views()[0]
    with pytest.raises(ModelError, match=rf"{path}[\s\S]*remedy: .*GroupNorm"):
        cached_backward(module, view, square, chunk=3)
    assert all(parameter.grad is None for parameter in module.parameters())
    whole = copy.deepcopy(module.eval())
    square(whole(view)).backward()
    cached_backward(module, view, square, chunk=3)
    assert_same_grads(grads(module), grads(whole), 1e-4)


def test_norms_of_single_rows_are_fine_and_batch_norm_without_history_never_is():
    view = make_views()[0]
    cached_backward(nn.InstanceNorm1d(4, affine=True), view, square, chunk=3)
    with pytest.raises(ModelError, match="BatchNorm1d"):
        cached_backward(nn.BatchNorm1d(4, track_running_stats=False).eval(), view, square, chunk=3)


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.weight, self.make = nn.Parameter(torch.ones(1)), make

    def forward(self, x):
        return self.make(x * self.weight)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: (x, x), r"must return one tensor \(got 'tuple'\)"),
        (lambda x: {"embedding": x}, r"must return one tensor \(got 'dict'\)"),
        (lambda x: x.sum(), r"shape \(3, \.\.\.\) \(got '\(\), torch.float32'\)"),
        (lambda x: x[1:], r"shape \(3, \.\.\.\) \(got '\(2, 4, 12\)"),
        (lambda x: x.long(), "torch.int64"),
        (lambda x: x.detach(), "nothing of the encoder is trained"),
    ],
)
def test_encoders_that_do_not_return_embeddings_are_refused(make, message):
    with pytest.raises(ModelError, match=message):
        cached_backward(Returns(make), make_views()[0], square, chunk=3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"queries": torch.ones(2, 4, 12)}, "got 'dict'"),
        ([], "at least one view"),
        ([torch.ones(2, 4, 12), "ACGT"], "view 1 .* must be a tensor"),
        ([torch.ones(2, 4, 12), torch.ones(0, 4, 12)], r"view 1 .*got \(0, 4, 12\)"),
        (torch.tensor(1.0), r"view 0 .*got \(\)"),
    ],
)
def test_inputs_that_are_no_batches_are_refused(inputs, message):
    with pytest.raises(ShapeError, match=message):
        cached_backward(Encoder(), inputs, square, chunk=3)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda embedding: embedding.square(), ShapeError, r"scalar tensor.*got \(7, 5\)"),
        (lambda embedding: 3.0, ShapeError, "got 'float'"),
        (lambda embedding: (None, embedding.sum()), ShapeError, "got 'NoneType'"),
        (lambda embedding: embedding.detach().sum(), ModelError, "the loss carries no gradient"),
        (lambda embedding: nn.Parameter(torch.ones(())) * 2, ModelError, "does not depend on the embeddings"),
    ],
)
def test_loss_functions_without_a_gradient_are_refused(loss, error, message):
    with pytest.raises(error, match=message):
        cached_backward(Encoder(), make_views()[0], loss, chunk=3)


def test_bad_calls_are_refused():
    view = make_views()[0]
    for chunk in (0, -1):
        with pytest.raises(ConfigError, match=f"chunk must be at least 1 \\(got {chunk}\\)"):
            cached_backward(Encoder(), view, square, chunk=chunk)
    with torch.no_grad(), pytest.raises(ModelError, match="carries no gradient"):
        cached_backward(Encoder(), view, square, chunk=3)
    with pytest.raises(ModelError, match="view 0 of inputs has a graph"):
        cached_backward(Encoder(), view.requires_grad_() * 2, square, chunk=3)
