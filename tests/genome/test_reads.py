"""Reads of any file: passes, filters with their counts, samples, and doubtful qualities."""

import logging
import math
import warnings
from collections import Counter
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import ConfigError, FileFormatError, GenocontrastWarning
from genocontrast.genome import Reads
from genocontrast.genome import fastq as fastq_module
from genocontrast.genome import reads as reads_module

GOOD = b"@a one\nACGTN\n+\nIIIII\n@b\nGG\n+b\nI5\n@c\nTTT\n+\n!~I\n"


class TestPasses:
    def test_passes_are_equal_and_their_arrays_may_be_written_to(self, plain, many_reads):
        reads = Reads(many_reads)
        first = list(reads.batches(1000))
        expected = plain.rows(first)
        for batch in first:
            batch.codes[:] = 0
            batch.quality[:] = 0
        assert plain.rows(reads.batches(1000)) == expected

    def test_counts_are_those_of_the_last_complete_pass(self, plain, many_reads):
        reads = Reads(many_reads, min_length=20)
        assert (reads.total, sum(reads.removed.values())) == (0, 0)
        next(reads.batches(10))
        assert (reads.total, sum(reads.removed.values())) == (0, 0)
        kept = len(plain.rows(reads.batches()))
        assert (reads.total, reads.removed["too_short"]) == (300, 300 - kept)
        list(reads.batches())
        assert reads.total == 300

    def test_progress_is_logged(self, many_reads, caplog):
        with patch.object(reads_module, "_SECONDS_BETWEEN_LINES", 0.0), caplog.at_level(logging.INFO, "genocontrast"):
            list(Reads(many_reads).batches())
        assert "many.fastq.gz: 300 reads so far" in caplog.text


class TestFilters:
    @settings(max_examples=80, deadline=None)
    @given(
        draw=st.data(),
        limits=st.tuples(st.integers(0, 8), st.integers(8, 12) | st.none(), st.integers(0, 93) | st.floats(0, 30)),
        fraction=st.sampled_from([0.0, 0.1, 0.25, 0.29, 0.5, 1.0]),
    )
    def test_each_rule_is_counted(self, plain, reads_folder, draw, limits, fraction):
        made = draw.draw(plain.records())
        least, most, quality = limits
        expected, removed = [], Counter()
        for title, sequence, qualities in made:
            read = plain.letters(sequence)
            if len(read) < max(least, 1):
                removed["too_short"] += 1
            elif most is not None and len(read) > most:
                removed["too_long"] += 1
            elif read.count("N") / len(read) > fraction:
                removed["too_many_n"] += 1
            elif plain.phred(qualities) < quality - 1e-9:
                removed["low_quality"] += 1
            else:
                expected.append((title.split()[0], read, plain.phred(qualities)))
        path = plain.write(reads_folder / "filtered.fq", plain.fastq(made))
        limits = {"min_length": least, "max_length": most, "min_quality": quality, "max_n_fraction": fraction}
        reads = Reads(path, **limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GenocontrastWarning)
            plain.same(plain.rows(reads.batches()), expected)
        assert reads.removed == plain.removed(**removed)
        assert reads.total == len(made)

    @pytest.mark.parametrize("length", [1, 37, 150, 250, 9999])
    @pytest.mark.parametrize("quality", [0, 2, 30, 37, 93])
    def test_a_read_at_the_limit_of_quality_stays(self, plain, tmp_path, length, quality):
        path = plain.write(tmp_path / "x.fq", plain.fastq([("r", "A" * length, [quality] * length)]))
        assert len(plain.rows(Reads(path, min_quality=quality).batches())) == 1

    def test_quality_is_that_of_the_mean_error(self, plain, tmp_path):
        path = plain.write(tmp_path / "x.fq", plain.fastq([("r", "AC", [10, 40])]))
        assert plain.rows(Reads(path).batches())[0][2] == pytest.approx(-10 * math.log10((0.1 + 0.0001) / 2))

    def test_a_read_of_the_worst_quality_has_phred_zero_and_no_minus(self, plain, tmp_path):
        (batch,) = Reads(plain.write(tmp_path / "x.fq", plain.fastq([("r", "AC", [0, 0])]))).batches()
        assert str(batch.quality[0]) == "0.0"

    def test_no_read_left_is_warned_of(self, plain, tmp_path):
        reads = Reads(plain.write(tmp_path / "x.fq", GOOD), min_length=4, max_n_fraction=0)
        with pytest.warns(GenocontrastWarning, match=r"no read is left \(too_short 2, too_many_n 1\)"):
            assert list(reads.batches()) == []

    @pytest.mark.parametrize(
        "limits",
        [
            {"min_length": -1}, {"max_length": 0}, {"min_length": 9, "max_length": 8}, {"min_quality": 94},
            {"min_quality": float("nan")}, {"max_n_fraction": 1.1}, {"sample": 0}, {"sample": 1.0}, {"sample": True},
            {"sample": -0.5}, {"seed": -1}, {"seed": None}, {"seed": 1.5}, {"seed": True},
            {"min_mapq": 256}, {"min_mapq": 20},
        ],
    )  # fmt: skip
    def test_impossible_filters_are_refused(self, many_reads, limits):
        with pytest.raises(ConfigError):
            Reads(many_reads, **limits)
        with pytest.raises(ConfigError, match="bases must be at least 1"):
            Reads(many_reads).batches(0)


class TestSample:
    @pytest.mark.parametrize("sample", [1, 7, 120, np.int64(7), 0.3])
    def test_the_seed_alone_decides(self, plain, many_reads, sample):
        whole = plain.rows(Reads(many_reads).batches())
        reads = Reads(many_reads, sample=sample, seed=3)
        chosen = plain.rows(reads.batches())
        assert len(chosen) == (sample if sample >= 1 else reads.total - reads.removed["not_sampled"])
        assert [row for row in whole if row in chosen] == chosen
        assert reads.removed["not_sampled"] == 300 - len(chosen)
        assert plain.rows(reads.batches(17)) == chosen
        with patch.object(fastq_module, "_BLOCK", 100):
            assert plain.rows(Reads(many_reads, sample=sample, seed=3).batches(90)) == chosen
        assert plain.rows(Reads(many_reads, sample=sample, seed=4).batches()) != chosen

    def test_every_read_and_every_pair_is_as_likely_as_another(self, plain, tmp_path):
        path = plain.write(
            tmp_path / "x.fq", plain.fastq([(str(n), "ACGT"[: n % 4 + 1], [30] * (n % 4 + 1)) for n in range(10)])
        )
        times, pairs, draws = Counter(), Counter(), 400
        with patch.object(fastq_module, "_BLOCK", 50):
            for seed in range(draws):
                names = [name for name, _, _ in plain.rows(Reads(path, sample=3, seed=seed).batches())]
                times.update(names)
                pairs.update((a, b) for a in names for b in names if a < b)
        assert sum(times.values()) == 3 * draws
        for counts, number, chance in ((times, 10, 3 / 10), (pairs, 45, 3 * 2 / (10 * 9))):
            assert len(counts) == number
            spread = math.sqrt(draws * chance * (1 - chance))
            assert all(abs(count - draws * chance) < 5 * spread for count in counts.values())

    def test_a_fraction_is_the_chance_of_each_read(self, plain, many_reads):
        sizes = [len(plain.rows(Reads(many_reads, sample=0.2, seed=seed).batches())) for seed in range(20)]
        assert abs(sum(sizes) - 0.2 * 6000) < 5 * math.sqrt(6000 * 0.2 * 0.8)
        assert len(set(sizes)) > 1

    def test_it_is_drawn_from_the_reads_that_pass(self, plain, many_reads):
        passing = plain.rows(Reads(many_reads, min_length=30).batches())
        reads = Reads(many_reads, min_length=30, sample=20)
        assert set(plain.rows(reads.batches())) < set(passing)
        assert reads.removed["not_sampled"] == len(passing) - 20

    def test_more_than_there_are_is_all(self, plain, many_reads):
        reads = Reads(many_reads, sample=301)
        assert plain.rows(reads.batches()) == plain.rows(Reads(many_reads).batches())
        assert reads.removed["not_sampled"] == 0

    def test_mates_are_chosen_together(self, plain, tmp_path):
        first = plain.write(tmp_path / "1.fq", plain.fastq([(f"p{n}", "A", [30]) for n in range(50)]))
        second = plain.write(tmp_path / "2.fq", plain.fastq([(f"p{n}", "CGT" * 9, [30] * 27) for n in range(50)]))
        names = [[row[0] for row in plain.rows(Reads(path, sample=9, seed=1).batches(5))] for path in (first, second)]
        assert names[0] == names[1]

    def test_a_file_that_changes_is_noticed(self, plain, tmp_path):
        path = plain.write(tmp_path / "x.fq", GOOD)
        reads = Reads(path, sample=2)
        list(reads.batches())
        plain.write(path, GOOD * 2)
        with pytest.raises(FileFormatError, match="changed between two passes"):
            list(reads.batches())


class TestPhred64:
    def warned(self, plain, tmp_path, low, high, number=200):
        qualities = np.random.default_rng(0).integers(low - 33, high - 33, (number, 100), endpoint=True).tolist()
        reads = Reads(
            plain.write(tmp_path / "x.fq", plain.fastq([("r", "A" * 100, row) for row in qualities])), sample=5
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list(reads.batches())
        return [str(warning.message) for warning in caught]

    def test_it_is_warned_of_once_a_pass(self, plain, tmp_path):
        (message,) = self.warned(plain, tmp_path, 66, 104)
        assert "all qualities lie between 'B' and 'h'" in message
        assert "seqtk seq -VQ64" in message

    @pytest.mark.parametrize(
        ("low", "high", "number"), [(35, 74, 200), (58, 104, 200), (63, 75, 200), (66, 126, 200), (66, 104, 50)]
    )
    def test_other_qualities_are_not_doubted(self, plain, tmp_path, low, high, number):
        assert self.warned(plain, tmp_path, low, high, number) == []
