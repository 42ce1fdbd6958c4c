"""Several processes train as one does: each with its share of every batch, gradients averaged, losses gathered."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_training_fit import TINY, random_pairs

from genocontrast.training.fitting import fit_pairs

HERE = Path(__file__)
CONFIG = TINY.model_copy(update={"epochs": 2, "dropout": 0.0, "precision": "float32", "batch_pairs": 8})


def train(folder):
    """What each process does; called by this file when torchrun runs it."""
    import torch.distributed as dist

    network, history = fit_pairs(random_pairs(24, 0), random_pairs(8, 1), CONFIG, checkpoints=folder)
    torch.save((network.state_dict(), history), folder / f"rank_{dist.get_rank()}.pt")


def processes(count, folder):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", HERE, folder]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    return [torch.load(folder / f"rank_{rank}.pt") for rank in range(count)], run


def test_two_processes_train_as_one_does(tmp_path):
    expected, history = fit_pairs(random_pairs(24, 0), random_pairs(8, 1), CONFIG)
    (first, second), run = processes(2, tmp_path)
    for name, value in expected.state_dict().items():
        assert torch.equal(first[0][name], second[0][name]), name
        torch.testing.assert_close(first[0][name], value, rtol=0, atol=2e-3)
    for row, found in zip(history, first[1], strict=True):
        assert found["validation_loss"] == pytest.approx(row["validation_loss"], abs=1e-4)
    assert [line.split("  ")[0] for line in run.stderr.splitlines() if line.startswith("epoch")] == [
        "epoch 1/2",
        "epoch 2/2",
    ]
    # the checkpoint is whole: the same training has nothing left to do
    resumed, again = fit_pairs(random_pairs(24, 0), random_pairs(8, 1), CONFIG, checkpoints=tmp_path)
    assert len(again) == 2
    for name, value in first[0].items():
        assert torch.equal(resumed.state_dict()[name], value)


if __name__ == "__main__":
    train(Path(sys.argv[1]))
