"""What Triton's kernels compile to for devices that are not here, and what is refused."""

import importlib.util
import os
import sys

import pytest
import torch

from genocontrast.contrast.backends.triton_device import tiles
from genocontrast.contrast.backends.triton_engine import Triton
from genocontrast.contrast.comparison import Comparison
from genocontrast.errors import ConfigError

# what the programs of a processor may take together, by compute capability
SHARED_MEMORY = {(8, 0): 163 << 10, (9, 0): 227 << 10}
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the package triton is absent")
compiles = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")


def compiled(kernel, capability, tile, width, **flags):
    """The kernel for a device that need not be there, of bfloat16 and with all that it may be given in one sweep."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    halves, floats = ("a_ptr", "b_ptr"), ("found", "partial", "gauge", "out", "gain", "pull_a", "pull_b")
    types = dict.fromkeys(halves, "*bf16") | dict.fromkeys(floats, "*fp32")
    types |= dict.fromkeys(("shift", "width", "na", "nb", "d", "stride"), "i32")
    constants = {
        **{"SCALE": 1.0, "FIRST": 1.0, "SECOND": 0.0, "CORRECT": True, "POSITIVE": False, "MASKS": False},
        **{"GIVEN_BY_A": True, "SHARED": True, "BM": tile.anchors, "BN": tile.candidates, "DP": width},
        **{"DK": min(tile.depth, width), "UPCAST": False, "PRECISION": "ieee", **flags},
    }
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    constants = {name: constants.get(name) for name, kind in signature.items() if kind == "constexpr"}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind[0] == "*"}
    options = {"num_warps": tile.warps, "num_stages": tile.stages, "maxnreg": tile.registers, "enable_fp_fusion": True}
    source = ASTSource(kernel, signature=signature, constexprs=constants, attrs=aligned)
    return compile(source, target=GPUTarget("cuda", 10 * capability[0] + capability[1], 32), options=options)


@needs_triton
@compiles
@pytest.mark.filterwarnings("ignore:AnnAssign.__init__ missing:DeprecationWarning")  # Triton's own, on Python 3.13
@pytest.mark.parametrize("capability", SHARED_MEMORY)
@pytest.mark.parametrize("kernel", ["sweep", "gradient"])
def test_it_compiles_for_devices_that_are_not_here(kernel, capability, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from genocontrast.contrast.backends import triton_kernels

    tile = tiles(True, 128, capability)[kernel == "gradient"]
    result = compiled(getattr(triton_kernels, kernel), capability, tile, 128)
    assert result.metadata.shared * (2 if kernel == "sweep" else 1) <= SHARED_MEMORY[capability]
    assert ("wgmma.mma_async" in result.asm["ptx"]) == (capability == (9, 0))
    assert "mma" in result.asm["ptx"]


@needs_triton
@compiles
def test_what_it_cannot_do_is_refused_by_name():
    comparison = Comparison(torch.ones(2, 4), torch.ones(2, 4), 0)
    with pytest.raises(ConfigError, match=r"(?s)computes in float32.*chunked"):
        Triton(comparison._replace(rows=comparison.rows.double()))
    with pytest.raises(ConfigError, match="up to 512"):
        Triton(Comparison(torch.ones(2, 513), torch.ones(2, 513), 0))
    with pytest.raises(ConfigError, match="cannot multiply"):
        Triton(comparison, torch.int8)
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        Triton(comparison)


def test_without_triton_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    for module in ("kernels", "tiles"):
        monkeypatch.delitem(sys.modules, f"genocontrast.contrast.triton_{module}", raising=False)
    with pytest.raises(ConfigError, match="pip install triton"):
        Triton(Comparison(torch.ones(2, 4), torch.ones(2, 4), 0))
