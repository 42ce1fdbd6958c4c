"""InfoNCE of large batches: time and memory beside the losses that people use, on the CPU and on CUDA.

Three pieces of work, each with contenders of the same definition, which is checked before anything is timed: one way
(queries look for keys), symmetric (the mean of both ways) and NT-Xent (all views look for their twins among all).
Times are of forward and backward, contenders taking turns. Memory is the most that a fresh process holds beyond
what it held before, without inputs and their gradients; each contender gets its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from timing import against, arguments, environment, in_process, interleaved, show, write
from torch.nn.functional import cross_entropy, normalize

from genocontrast.contrast import info_nce

TEMPERATURE = 0.1
# dense products of half precision per second, by device
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
# bytes of one more matrix of logits than this are not asked of the machine
LARGEST = 2 << 30


def ours(backend: str, symmetric: bool) -> Callable[..., torch.Tensor]:
    """Our loss by a backend."""
    return lambda q, k: info_nce(q, k, temperature=TEMPERATURE, symmetric=symmetric, backend=backend).loss


def plain(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """What most people write."""
    logits = normalize(q, dim=1) @ normalize(k, dim=1).T / TEMPERATURE
    return cross_entropy(logits, torch.arange(len(q), device=q.device))


def open_clip(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """open_clip's ClipLoss."""
    from open_clip.loss import ClipLoss

    return ClipLoss()(normalize(q, dim=1), normalize(k, dim=1), 1 / TEMPERATURE)


def clip_form(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The same, written out: logits of each way, labels, two cross-entropies."""
    q, k = normalize(q, dim=1), normalize(k, dim=1)
    labels = torch.arange(len(q), device=q.device)
    ways = (q @ k.T / TEMPERATURE, k @ q.T / TEMPERATURE)
    return (cross_entropy(ways[0], labels) + cross_entropy(ways[1], labels)) / 2


def our_nt_xent(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """NT-Xent: all 2 n views look for their twins among all views but themselves."""
    ids = torch.arange(len(q), device=q.device).repeat(2)
    views = torch.cat([q, k]), torch.cat([k, q])
    return info_nce(*views, temperature=TEMPERATURE, ids=ids, symmetric=False, backend="chunked").loss


def lightly(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """NTXentLoss of lightly."""
    from lightly.loss import NTXentLoss

    return NTXentLoss(temperature=TEMPERATURE)(q, k)


def metric_learning(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """NTXentLoss of pytorch-metric-learning; 1,024 pairs would take 34 GB."""
    from pytorch_metric_learning.losses import NTXentLoss

    labels = torch.arange(len(q), device=q.device).repeat(2)
    return NTXentLoss(temperature=TEMPERATURE)(torch.cat([q, k]), labels)


# contender: (loss, largest n on the CPU, package)
WORK: dict[str, dict[str, tuple[Callable[..., torch.Tensor], int, str | None]]] = {
    "one way": {
        "genocontrast": (ours("chunked", False), 1 << 16, None),
        "genocontrast, eager": (ours("eager", False), 1 << 14, None),
        "cross_entropy of logits": (plain, 1 << 14, None),
    },
    "symmetric": {
        "genocontrast": (ours("chunked", True), 1 << 16, None),
        "genocontrast, eager": (ours("eager", True), 1 << 12, None),
        "open_clip's form": (clip_form, 1 << 14, None),
        "open_clip": (open_clip, 1 << 14, "open_clip"),
    },
    "NT-Xent": {
        "genocontrast": (our_nt_xent, 1 << 14, None),
        "lightly": (lightly, 1 << 12, "lightly"),
        "pytorch-metric-learning": (metric_learning, 1 << 8, "pytorch_metric_learning"),
    },
}


def vectors(n: int, d: int, device: str = "cpu", kind: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Queries and keys that are near their queries, so that there is something to find."""
    generator = torch.Generator().manual_seed(n + d)
    queries = torch.randn(n, d, generator=generator)
    keys = queries + torch.randn(n, d, generator=generator)
    return [value.to(device, kind).requires_grad_() for value in (queries, keys)]


def step(loss: Callable[..., torch.Tensor], inputs: list[torch.Tensor]) -> Callable[[], object]:
    """Forward and backward."""

    def run() -> None:
        for value in inputs:
            value.grad = None
        loss(*inputs).backward()

    return run


def agree(work: str, d: int) -> None:
    """Contenders have the same loss and gradients, or there is nothing to compare."""
    found = {}
    for name, (loss, _, package) in WORK[work].items():
        if package is None or find_spec(package):
            inputs = vectors(200, d)
            value = loss(*inputs)
            value.backward()
            found[name] = (value.detach(), torch.cat([value.grad for value in inputs]))
    expected = found.pop("genocontrast")
    for name, (value, gradient) in found.items():
        error = (gradient - expected[1]).norm() / expected[1].norm()
        if not torch.allclose(value, expected[0], rtol=1e-5) or error > 1e-4:
            raise SystemExit(f"{work}: {name} computes another loss (gradients differ by {error:.1e})")


def held(key: str) -> float:
    """Memory of this process, MB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key))


def memory(work: str, name: str, n: int, d: int) -> float:
    """Most memory of forward and backward beyond inputs and gradients, MB; this process must be fresh."""
    inputs, small = vectors(n, d), vectors(256, d)
    for value in inputs:
        value.grad = torch.zeros_like(value)
    step(WORK[work][name][0], small)()
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    WORK[work][name][0](*inputs).backward()
    return held("VmHWM") - before


def on_cpu(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time and memory of each piece of work and size."""
    rows = []
    for work, contenders in WORK.items():
        for d in options.d:
            agree(work, d)
            for n in options.n:
                inputs = vectors(n, d)
                here = {
                    name: step(loss, inputs)
                    for name, (loss, most, package) in contenders.items()
                    if n <= most and (package is None or find_spec(package))
                }
                if "genocontrast" not in here:
                    continue
                seconds = interleaved(here, options.repeats if n <= 1 << 14 else 1)
                for row in against(seconds, "genocontrast"):
                    name = row.pop("contender")
                    used = in_process(Path(__file__), "--fresh", work, name, str(n), str(d))
                    rows.append({"work": work, "n": n, "d": d, "contender": name, **row, "extra_mb": used["mb"]})
                show(f"{work}, n = {n:,}, d = {d}", [r for r in rows if (r["work"], r["n"], r["d"]) == (work, n, d)])
    return rows


def on_cuda(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time, memory and share of the device's peak of 8 n^2 d operations (one way: 6), in bfloat16."""
    rows, device = [], torch.cuda.get_device_name()
    peak = next((value for name, value in PEAK.items() if name in device), float("nan"))
    for work, operations in {"one way": 6, "symmetric": 8}.items():
        contenders = {
            "genocontrast": ours("triton", work == "symmetric"),
            "genocontrast, chunked": ours("chunked", work == "symmetric"),
            "cross_entropy of logits": plain if work == "one way" else clip_form,
        }
        if work == "one way" and find_spec("inf_cl"):
            contenders["Inf-CL"] = inf_cl
        for d in options.d:
            for n in [*options.n, 1 << 20] if options.million else options.n:
                inputs = vectors(n, d, "cuda", torch.bfloat16)
                for name, loss in contenders.items():
                    if name != "genocontrast" and (
                        n > 1 << 16 or (name.startswith("cross") and 4 * n * n > 16 * LARGEST)
                    ):
                        continue
                    seconds, used = cuda_step(step(loss, inputs), options.repeats if n <= 1 << 16 else 1)
                    share = operations * n * n * d / seconds / peak
                    row = {"work": work, "n": n, "d": d, "contender": name, "ms": 1000 * seconds}
                    rows.append(row | {"extra_mb": used, "share_of_peak": share})
    show(f"{device}, bfloat16", rows)
    return rows


def inf_cl(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Inf-CL's published kernels, where installed; one way, vectors normalised before."""
    from inf_cl import cal_inf_loss

    return cal_inf_loss(normalize(q, dim=1), normalize(k, dim=1), scale=torch.tensor(1 / TEMPERATURE, device=q.device))


def cuda_step(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds, and most memory beyond inputs and gradients, MB."""
    run()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2], (torch.cuda.max_memory_allocated() - before) / 2**20


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--fresh"]:
        work, name, n, d = sys.argv[2:]
        print(json.dumps({"mb": memory(work, name, int(n), int(d))}))
        return
    parser = arguments(__doc__.splitlines()[0], repeats=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--n", type=int, nargs="+", default=[256, 1024, 4096, 16384, 32768, 65536], help="pairs")
    parser.add_argument("--d", type=int, nargs="+", default=[128, 256], help="numbers per vector")
    parser.add_argument("--million", action="store_true", help="also a million keys (CUDA)")
    options = parser.parse_args()
    rows = on_cuda(options) if options.device == "cuda" else on_cpu(options)
    figures = {"environment": environment(["torch"]) | {"threads": torch.get_num_threads()}, "rows": rows}
    if options.device == "cuda":
        commit = subprocess.run(["git", "rev-parse", "HEAD"], check=False, stdout=subprocess.PIPE, text=True).stdout
        figures["environment"] |= {
            "device": torch.cuda.get_device_name(),
            "date": datetime.date.today().isoformat(),
            "commit": commit.strip(),
        }
    write(options.json, figures)


if __name__ == "__main__":
    main()
