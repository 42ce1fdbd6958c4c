"""The figures of reads against numpy, and the command that prints them."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.errors import GenocontrastWarning
from genocontrast.genome import Reads
from genocontrast.genome.read_summary import print_reads

GOOD = b"@a one\nACGTN\n+\nIIIII\n@b\nGG\n+b\nI5\n@c\nTTT\n+\n!~I\n"


class TestSummary:
    @settings(max_examples=100, deadline=None)
    @given(draw=st.data(), copies=st.integers(1, 40))
    def test_figures_are_those_of_numpy(self, plain, reads_folder, draw, copies):
        made = draw.draw(plain.records())
        made = [row for row in made if row[1]] * copies or [("r", "A", [7])]
        summary = Reads(plain.write(reads_folder / "s.fq", plain.fastq(made))).summary()
        lengths = [len(sequence) for _, sequence, _ in made]
        qualities = [plain.phred(row) for _, _, row in made]
        text = "".join(plain.letters(sequence) for _, sequence, _ in made)
        assert (summary["reads"], summary["bases"], summary["total"]) == (len(made), len(text), len(made))
        for key, fraction in (("min", 0), ("5%", 0.05), ("median", 0.5), ("95%", 0.95), ("max", 1)):
            assert summary["length"][key] == np.quantile(lengths, fraction, method="inverted_cdf")
            quality = np.quantile(qualities, fraction, method="inverted_cdf")
            assert summary["quality"][key] == pytest.approx(quality, abs=0.0051)
        held, expected = 0, None
        for length in sorted(lengths, reverse=True):
            held += length
            if 2 * held >= len(text):
                expected = length
                break
        assert summary["length"]["n50"] == expected
        called = len(text) - text.count("N")
        gc = (text.count("G") + text.count("C")) / called if called else None
        assert summary["gc"] == (gc if gc is None else pytest.approx(gc))
        assert summary["n_fraction"] == pytest.approx(text.count("N") / len(text))
        json.dumps(summary, allow_nan=False)

    def test_nothing_left_has_no_figures(self, plain, tmp_path):
        reads = Reads(plain.write(tmp_path / "x.fq", GOOD), min_length=50)
        with pytest.warns(GenocontrastWarning, match="no read is left"):
            summary = reads.summary()
        empty = {"reads": 0, "bases": 0, "length": None, "quality": None, "gc": None, "n_fraction": None}
        assert summary == empty | {"total": 3, "removed": plain.removed(too_short=3)}
        console = Console(file=io.StringIO(), width=100)
        with pytest.warns(GenocontrastWarning, match="no read is left"):
            print_reads(reads, console)
        assert "100.0%" in console.file.getvalue()


class TestCommand:
    def test_it_prints_figures_and_removals(self, many_reads):
        options = [
            "--min-length",
            "5",
            "--min-quality",
            "9",
            "--max-n-fraction",
            "0.2",
            "--sample",
            "50",
            "--seed",
            "2",
        ]
        finished = CliRunner().invoke(main, ["genome", "reads", str(many_reads), *options])
        assert finished.exit_code == 0
        reads = Reads(many_reads, min_length=5, min_quality=9, max_n_fraction=0.2, sample=50, seed=2)
        figures = reads.summary()
        printed = {" ".join(line.split("│")[0].split()): line for line in finished.stdout.splitlines()}
        assert printed["reads"].endswith(" 50")
        assert printed["bases, bp"].endswith(f" {figures['bases']:,}")
        assert printed["length, bp: N50"].endswith(f" {figures['length']['n50']}")
        assert printed["quality, Phred of mean error: 5%"].endswith(f" {figures['quality']['5%']:.2f}")
        assert printed["GC"].endswith(f" {figures['gc']:.2%}")
        for rule in ("too_short", "too_many_n", "low_quality", "not_sampled"):
            assert f" {figures['removed'][rule]} " in printed[rule.replace("_", " ")].replace("│", " ")
            assert figures["removed"][rule] > 0
        assert " 300 " in printed["in the file"]

    def test_bad_reads_end_with_one_message_and_code_3(self, plain, tmp_path):
        plain.write(tmp_path / "bad.fq", GOOD + b"@d\nAC\n+\nI\n")
        command = [Path(sys.executable).parent / "genocontrast", "genome", "reads", "bad.fq"]
        finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert finished.returncode == 3
        assert finished.stderr.startswith("error: bad.fq, line 16: 2 bases but 1 qualities\n  remedy: ")
        assert "Traceback" not in finished.stderr
