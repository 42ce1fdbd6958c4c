"""What treating both strands alike costs: windows a second and FLOP/s of encoders, and how exactly they agree.

Contenders have one architecture: tied (both strands in one pass), a plain network of the same layers (free) and of
equal parameters, and a twin in one call or, as it is usually written, in two. FLOPs are counted by torch as each one
does them; the machine's peak is that of the product of two large matrices in the same numbers.

    python benchmarks/encoders.py [--length BP] [--batch N] [--repeats N] [--device cpu|cuda] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from typing import Any

import timing
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genocontrast.encoders import Encoded, StrandEncoder
from genocontrast.encoders.views import reverse_complement

WIDTH, DEPTH = 64, 3
NUMBERS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EXACT = {"float64": (torch.float64, 1e-12), "float32": (torch.float32, 1e-5)}


class TwoCalls(nn.Module):
    """A twin as it is usually written: the network on each strand, then the mean of both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = StrandEncoder("free", width=width, depth=DEPTH)

    def forward(self, x: Tensor) -> Encoded:
        """Read both strands."""
        one, other = self.network(x), self.network(reverse_complement(x))
        return Encoded(*((a + b) / 2 for a, b in zip(one, other, strict=True)))


def contenders() -> dict[str, nn.Module]:
    """Encoders to compare; of equal parameters, a plain one is narrower by the root of 2."""
    equal = 2 * round(WIDTH / 2**0.5 / 2)
    return {
        "tied": StrandEncoder("tied", width=WIDTH, depth=DEPTH),
        "plain, same layers": StrandEncoder("free", width=WIDTH, depth=DEPTH),
        "plain, equal parameters": StrandEncoder("free", width=equal, depth=DEPTH),
        "twin, one call": StrandEncoder("twin", width=WIDTH, depth=DEPTH),
        "twin, two calls": TwoCalls(WIDTH),
    }


def windows(n: int, length: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Random one-hot windows."""
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).to(dtype).contiguous()


def trained(network: nn.Module, x: Tensor, numbers: torch.dtype) -> Callable[[], object]:
    """Forward and backward, as in training."""

    def run() -> None:
        network.train()
        network.zero_grad(set_to_none=True)
        with in_numbers(x, numbers):
            encoded = network(x)
        (encoded.logit.mean() + encoded.embedding[:, 0].mean()).backward()
        finish(x)

    return run


def inferred(network: nn.Module, x: Tensor, numbers: torch.dtype) -> Callable[[], object]:
    """Forward, as in prediction."""

    def run() -> None:
        network.eval()
        with torch.inference_mode(), in_numbers(x, numbers):
            network(x)
        finish(x)

    return run


def in_numbers(x: Tensor, numbers: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """Autocast to half precision; nothing for float32."""
    return torch.autocast(x.device.type, numbers, enabled=numbers != torch.float32)


def finish(x: Tensor) -> None:
    """Wait for the device."""
    if x.device.type == "cuda":
        torch.cuda.synchronize()


def peak(numbers: torch.dtype, device: str) -> float:
    """FLOP/s of a product of two large matrices."""
    a, b = (torch.randn(2048, 2048, device=device).to(numbers) for _ in range(2))
    best = 0.0
    for _ in range(10):
        start = time.perf_counter()
        a @ b
        finish(a)
        best = max(best, 2 * 2048**3 / (time.perf_counter() - start))
    return best


def flops(run: Callable[[], object]) -> int:
    """Floating-point operations of one call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def speed(arguments: argparse.Namespace, work: str, numbers: str) -> list[dict[str, Any]]:
    """A row per contender: windows and FLOPs a second and core, and what they are of tied's."""
    x = windows(arguments.batch, arguments.length).to(arguments.device)
    make = trained if work == "training" else inferred
    networks = {name: network.to(arguments.device) for name, network in contenders().items()}
    runs = {name: make(network, x, NUMBERS[numbers]) for name, network in networks.items()}
    counted = {name: flops(run) for name, run in runs.items()}
    seconds = timing.interleaved(runs, arguments.repeats)
    top = peak(NUMBERS[numbers], arguments.device)
    rows = []
    for row in timing.against(seconds, "tied"):
        name, rate = row["contender"], counted[row["contender"]] / row["seconds"]
        rows.append(
            {
                "contender": name,
                "parameters": sum(parameter.numel() for parameter in networks[name].parameters()),
                "windows/s/core": arguments.batch
                / row["seconds"]
                / (torch.get_num_threads() if x.device.type == "cpu" else 1),
                "GFLOP/s": rate / 1e9,
                "of the peak": rate / top,
                # the ratio of rates is the ratio of times turned round, by the work of each
                "tied's rate / its": row["times_ours"] * counted["tied"] / counted[name],
                "its time / tied's": row["times_ours"],
            }
        )
    return rows


def agreement(length: int) -> list[dict[str, Any]]:
    """How far both strands' answers differ at random weights, before any canonical strand is chosen."""
    rows = []
    for name, (dtype, allowed) in EXACT.items():
        for strand in ("tied", "twin"):
            for orientation in ("invariant", "stranded"):
                torch.manual_seed(0)
                network = StrandEncoder(strand, width=WIDTH, depth=DEPTH, orientation=orientation, knots=8)
                for parameter in network.parameters():
                    nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
                x = windows(256, length, dtype)
                with torch.inference_mode():
                    one, other = network.to(dtype).eval()(x), network(x.flip(1, 2))
                calls = (one.logit > 0) != (other.logit > 0)
                certain = (one.logit.sigmoid() - 0.5).abs() > 1e-5
                rows.append(
                    {
                        "numbers": name,
                        "strand": strand,
                        "orientation": orientation,
                        "largest difference": max(
                            float((a - b).abs().max()) for a, b in zip(one[:2], other[:2], strict=True)
                        ),
                        "asked": allowed,
                        "flips": int((calls & certain).sum()),
                    }
                )
    return rows


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--length", type=int, default=600, help="bp of a window")
    parser.add_argument("--batch", type=int, default=256, help="windows in a batch")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"environment": timing.environment(["torch"]), "length": arguments.length}
    report["agreement"] = agreement(arguments.length)
    timing.show("Strands", report["agreement"])
    for numbers in NUMBERS:
        for work in ("training", "inference"):
            rows = speed(arguments, work, numbers)
            report[f"{work}, {numbers}"] = rows
            timing.show(f"{work}, {numbers}, {arguments.length} bp, peak counted in {numbers}", rows)
    timing.write(arguments.json, report)


if __name__ == "__main__":
    main()
