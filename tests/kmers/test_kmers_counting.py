import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import ConfigError, NamingError, RegionError, ShapeError
from genocontrast.genome import Genome, Reads
from genocontrast.kmers import count_kmers, counting
from genocontrast.kmers.counting import count_cooccurrences
from genocontrast.kmers.limits import affordable_share, check_memory
from genocontrast.sequence import canonical_table, decode, encode, kmer_name, reverse_complement

DNA = st.text(alphabet="ACGTN", max_size=60)
SEEDS = [None, "1101011", "10101", "11011"]


def entries(counts):
    """{(k-mer, k-mer): units} of all ordered pairs that occur, and {k-mer: n}, by name."""
    names = [kmer_name(int(i), counts.k) for i in canonical_table(counts.k)[1]]
    pairs = {}
    if counts.settings.sparse:
        for a, b, weights in counts.pairs():
            for i, j, weight in zip(a, b, weights, strict=True):
                pairs[names[i], names[j]] = pairs[names[j], names[i]] = int(weight) * (2 if i == j else 1)
    else:
        cells = np.flatnonzero(counts.values)
        rows = ((np.sqrt(8 * cells + 1) - 1) / 2).astype(int)
        for cell, row in zip(cells, rows, strict=True):
            a, b = names[cell - row * (row + 1) // 2], names[row]
            pairs[a, b] = pairs[b, a] = int(counts.values[cell]) * (2 if a == b else 1)
    return pairs, {names[i]: int(counts.tokens[i]) for i in np.flatnonzero(counts.tokens)}


def by_hand(sequence, k, window, skip=0, spaced=None):
    """The same, from strings and nested loops."""
    pairs, tokens = {}, {}
    seed = spaced or "1" * k
    for run in re.findall("[ACGT]+", sequence):
        spans = [run[i : i + len(seed)] for i in range(len(run) - len(seed) + 1)]
        kmers = ["".join(base for base, used in zip(span, seed, strict=True) if used == "1") for span in spans]
        names = [min(kmer, kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))) for kmer in kmers]
        for i, centre in enumerate(names):
            tokens[centre] = tokens.get(centre, 0) + 1
            for j, context in enumerate(names):
                distance = abs(i - j) - skip
                if 0 < distance <= window:
                    pairs[centre, context] = pairs.get((centre, context), 0) + window - distance + 1
    return pairs, tokens


def random_codes(size, seed=1):
    return np.random.default_rng(seed).choice(5, size, p=[0.3, 0.15, 0.2, 0.345, 0.005]).astype(np.uint8)


@settings(max_examples=60)
@given(DNA, st.sampled_from(SEEDS), st.integers(1, 7), st.integers(0, 6), st.booleans())
def test_counts_equal_nested_loops_over_strings(sequence, spaced, window, skip, as_lists):
    k = 4 if spaced is None else spaced.count("1")
    share = 1 - 1e-16 if as_lists else 1.0  # all of them
    counts = count_cooccurrences(encode(sequence), k, window, skip=skip, spaced=spaced, share=share)
    assert entries(counts) == by_hand(sequence, k, window, skip, spaced)


WINDOWS = [(1, 0), (5, 0), (12, 0), (5, 9), (20, 20)]


# each table of k = 8 takes 2 GB: one is enough
@pytest.mark.parametrize(
    ("k", "window", "skip"), [(k, *around) for k in range(3, 11) for around in (WINDOWS if k != 8 else [(5, 3)])]
)
def test_counts_equal_nested_loops_for_every_k(k, window, skip):
    letters = np.random.default_rng(k).choice(list("ACGTN"), 700, p=[0.3, 0.2, 0.2, 0.28, 0.02])
    sequence = "".join(letters) + "ACGT" * 12  # the tail is all palindromes and self-pairs
    assert entries(count_cooccurrences(encode(sequence), k, window, skip=skip)) == by_hand(sequence, k, window, skip)


@pytest.mark.parametrize("k", range(3, 11))
def test_both_strands_give_identical_counts(k):
    codes = random_codes(5000)
    forward, backward = (count_cooccurrences(strand, k, 5) for strand in (codes, reverse_complement(codes)))
    assert forward.total > 0
    assert np.array_equal(forward.values, backward.values)
    assert np.array_equal(forward.tokens, backward.tokens)
    if k > 8:
        np.testing.assert_array_equal(forward.cells, backward.cells)


@pytest.mark.parametrize("options", [{"skip": 3}, {"spaced": "1101011"}, {"share": 0.3}, {"skip": 2, "share": 0.6}])
def test_both_strands_give_identical_counts_with_every_option(options):
    codes = random_codes(5000)
    forward, backward = (count_cooccurrences(strand, 5, 5, **options) for strand in (codes, reverse_complement(codes)))
    assert forward.total > 0
    assert entries(forward) == entries(backward)


def test_a_palindrome_counts_once_and_pairs_with_itself_in_both_orders():
    counts = count_cooccurrences(encode("ACGTACGT"), 4, 4)  # ACGT at 0 and at 4
    pairs, tokens = entries(counts)
    assert tokens == {"ACGT": 2, "CGTA": 2, "GTAC": 1}  # TACG is CGTA
    assert pairs["ACGT", "ACGT"] == 2 * 1  # distance 4 of window 4: 1 unit, from either side
    assert pairs["ACGT", "GTAC"] == 2 * 3  # distance 2 from both


def test_a_pair_never_reaches_across_an_n():
    # window 5 could jump the N: GGG would be 4 positions after AAA
    pairs, tokens = entries(count_cooccurrences(encode("AAANGGG"), 3, 5))
    assert pairs == {}
    assert tokens == {"AAA": 1, "CCC": 1}


def test_weights_are_those_of_a_random_window():
    counts = count_cooccurrences(encode("AACCT"), 3, 2)  # AAC, ACC, AGG (CCT)
    pairs, _ = entries(counts)
    assert pairs == {
        ("AAC", "ACC"): 2, ("ACC", "AAC"): 2, ("ACC", "AGG"): 2, ("AGG", "ACC"): 2,
        ("AAC", "AGG"): 1, ("AGG", "AAC"): 1,
    }  # fmt: skip
    assert counts.total == 10 / 2


def test_skipping_leaves_out_all_kmers_that_share_bases():
    counts = count_cooccurrences(encode("AAACCC"), 3, 2, skip=2)
    assert entries(counts)[0] == {("AAA", "CCC"): 2, ("CCC", "AAA"): 2}  # distance 3, the nearest of the window


@pytest.mark.parametrize("k", [3, 6, 7, 9])
@pytest.mark.parametrize("threads", [1, 3])
def test_pieces_batches_rounds_and_threads_change_nothing(k, threads, monkeypatch, genome_of):
    codes = random_codes(4000, seed=3)
    genome = genome_of({"a": codes[:1500], "b": codes[1500:1503], "c": codes[1503:]})
    whole = count_kmers(genome, k, 5, threads=1)
    for name, value in {
        "_PIECE": 37,
        "_BATCH": 10,
        "_COPIED_CELLS": 100 if k == 6 else 1 << 27,
        "_LISTED_PIECES": 3,
    }.items():
        monkeypatch.setattr(counting, name, value)
    cut = count_kmers(genome, k, 5, threads=threads)
    assert entries(whole) == entries(cut)


def test_a_cell_may_pass_32_bits(monkeypatch):
    codes = np.zeros(3000, np.uint8)
    once = count_cooccurrences(codes, 3, 5)
    sink = counting._Table(once.settings, 1)
    sink.values[0] = 2**32 - 100
    sink.add(sink.tokens(codes, counting._pieces(codes, 3)), counting._pieces(codes, 3))
    assert sink.values.dtype == np.uint64
    assert sink.values[0] == 2**32 - 100 + int(once.values[0])


def test_rounds_end_before_32_bits_could_overflow():
    k, window = 3, 20
    counts = count_cooccurrences(np.zeros(30_000_000, np.uint8), k, window)
    exact = sum((30_000_000 - k + 1 - distance) * (window - distance + 1) for distance in range(1, window + 1))
    assert int(counts.values[0]) == exact > 2**32


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_is_drawn_without_bias(share):
    codes = random_codes(60_000)
    whole, drawn = (count_cooccurrences(codes, 3, 5, share=part) for part in (1.0, share))
    assert drawn.total / whole.total == pytest.approx(share, rel=0.02)
    np.testing.assert_array_equal(whole.tokens, drawn.tokens)
    every, some = entries(whole)[0], entries(drawn)[0]
    ratios = np.array([some.get(pair, 0) / every[pair] for pair in every if every[pair] > 2000])
    assert len(ratios) > 50
    assert ratios.mean() == pytest.approx(share, rel=0.03)
    assert ratios.std() < 0.2 * share + 0.02  # no pair is always or never drawn


def test_a_share_draws_reads_of_one_length_at_different_places():
    # were the draw made by position alone, each of these reads would lose the same pairs
    reads = np.concatenate([np.append(np.random.default_rng(i).integers(0, 4, 30), 4) for i in range(400)])
    some = count_cooccurrences(reads.astype(np.uint8), 4, 1, share=0.5)
    whole = count_cooccurrences(reads.astype(np.uint8), 4, 1)
    assert some.total / whole.total == pytest.approx(0.5, abs=0.03)


def test_soft_masked_bases_can_be_left_out(genome_of):
    sequence = "ACGTTGCATGACCTGATTACA"
    mask = np.zeros(len(sequence), bool)
    mask[9:12] = True
    genome = genome_of({"c": encode(sequence)}, {"c": mask})
    assert entries(count_kmers(genome, 3, 4)) == by_hand(sequence, 3, 4)
    masked = count_kmers(genome, 3, 4, soft_masked=False)
    assert entries(masked) == by_hand(sequence[:9] + "NNN" + sequence[12:], 3, 4)


def test_each_region_is_a_sequence_of_its_own(genome_of):
    sequence = "ACGTTGCATGACCTGATTACA"
    genome = genome_of({"c": encode(sequence), "d": encode("AAAAAAAA")})
    regions = pd.DataFrame({"chrom": ["c", "c", "d"], "start": [0, 8, 0], "end": [9, 20, 8]})
    counts = count_kmers(genome, 3, 4, chroms=["c"], regions=regions)
    assert entries(counts) == by_hand(sequence[:9] + "N" + sequence[8:20], 3, 4)
    assert counts.sequences == {"c": 21}
    assert count_kmers(genome, 3, 4, regions=regions).sequences == {"c": 21, "d": 8}


def test_fasta_fastq_and_bam_give_the_same_counts(tmp_path, genome_of):
    import pysam

    texts = {f"read{i}": decode(random_codes(80, seed=i)) for i in range(60)}
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    (tmp_path / "r.fastq").write_text("".join(f"@{name}\n{text}\n+\n{'I' * 80}\n" for name, text in texts.items()))
    with pysam.AlignmentFile(tmp_path / "r.bam", "wb", header={"HD": {"VN": "1.6"}}) as bam:
        for name, text in texts.items():
            read = pysam.AlignedSegment()
            read.query_name, read.query_sequence, read.flag = name, text, 4
            bam.write(read)
    expected = entries(count_kmers(genome_of({name: encode(text) for name, text in texts.items()}), 4, 5))
    for source in (tmp_path / "g.fa", tmp_path / "r.fastq", str(tmp_path / "r.bam"), Genome(tmp_path / "g.fa")):
        assert entries(count_kmers(source, 4, 5)) == expected
    assert count_kmers(Reads(tmp_path / "r.bam"), 4, 5).sequences["r.bam"] == sum(
        len(text) - text.count("N") for text in texts.values()
    )
    with pytest.raises(ConfigError, match="reads have no chromosomes"):
        count_kmers(tmp_path / "r.fastq", 4, 5, chroms=["chr1"])


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (5, 99)])
def test_a_region_outside_its_chromosome_is_named(start, end, genome_of):
    regions = pd.DataFrame({"chrom": ["c"], "start": [start], "end": [end]})
    with pytest.raises(RegionError, match=f"c:{start}-{end}"):
        count_kmers(genome_of({"c": encode("ACGTACGTAC")}), 3, 2, regions=regions)


def test_an_unknown_chromosome_is_named(genome_of):
    with pytest.raises(NamingError, match=r"'chr1'[\s\S]*it has, to begin with: 1"):
        count_kmers(genome_of({"1": encode("ACGTACGTAC")}), 3, 2, chroms=["chr1"])


def test_chromosomes_are_a_list_of_different_names(genome_of):
    genome = genome_of({"c": encode("ACGTACGTAC"), "d": encode("ACGTACGTAC")})
    with pytest.raises(ConfigError, match=r"named twice \(got 'c'\)"):
        count_kmers(genome, 3, 2, chroms=["c", "d", "c"])
    with pytest.raises(ConfigError, match="a list of names"):
        count_kmers(genome, 3, 2, chroms="c")
    assert count_kmers(genome, 3, 2, chroms=(name for name in "dc")).sequences == {"d": 10, "c": 10}


def test_regions_are_a_table_with_rows_on_each_chromosome(genome_of):
    genome = genome_of({"c": encode("ACGTACGTAC"), "d": encode("ACGTACGTAC")})
    regions = pd.DataFrame({"chrom": ["c"], "start": [0], "end": [9]})
    with pytest.raises(RegionError, match=r"no region lies on this chromosome \(got 'd'\)"):
        count_kmers(genome, 3, 2, chroms=["c", "d"], regions=regions)
    with pytest.raises(RegionError, match="no regions to count in"):
        count_kmers(genome, 3, 2, regions=regions[:0])
    with pytest.raises(RegionError, match="no column 'chrom'"):
        count_kmers(genome, 3, 2, regions=regions[["start", "end"]])
    with pytest.raises(RegionError, match="whole numbers"):
        count_kmers(genome, 3, 2, regions=regions.astype({"start": float}))


def test_names_and_seeds_are_looked_at_before_anything_is_read(genome_of):
    class Unread(type(genome_of({}))):
        def chromosome(self, chrom):
            raise AssertionError("read")

    genome = Unread({"c": encode("ACGTACGTAC")})
    with pytest.raises(NamingError, match="chrZ"):
        count_kmers(genome, 3, 2, chroms=["c", "chrZ"])
    with pytest.raises(ShapeError, match="2 ones"):
        count_kmers(genome, 3, 2, spaced="101")


@pytest.mark.parametrize("k", [6, 9])
@pytest.mark.parametrize("sequence", ["", "ACGTAC", "NNNNNNNNNNNNN", "ACGTACNACGTAC"])
def test_a_genome_shorter_than_a_pair_is_refused(sequence, k, genome_of):
    with pytest.raises(RegionError, match=rf"two {k}-mers 1 bp apart \({k + 1} bp\)"):
        count_kmers(genome_of({"c": encode(sequence)}), k, 5)
    assert count_kmers(genome_of({"c": encode("ACGTACC")}), 6, 5).total == 2


def test_a_genome_shorter_than_the_skipped_positions_is_refused(genome_of):
    with pytest.raises(RegionError, match=r"two 3-mers 6 bp apart \(9 bp\)[\s\S]*smaller k or skip"):
        count_kmers(genome_of({"c": encode("ACGTACGT")}), 3, 5, skip=5)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"k": 2}, "'k'"), ({"k": 11}, "'k'"), ({"window": 0}, "'window'"), ({"window": 21}, "'window'"),
     ({"skip": -1}, "'skip'"), ({"threads": 0}, "'threads'"), ({"k": "x"}, "'k'"),
     ({"share": 0}, "'share'"), ({"share": 1.5}, "'share'")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong, named, genome_of):
    with pytest.raises(ConfigError, match=named):
        count_kmers(genome_of({"c": encode("ACGTACGTAC")}), **{"k": 4, "window": 5} | wrong)


@pytest.mark.parametrize(
    ("spaced", "named"), [("110", "same backwards"), ("0110", "begin"), ("1x1", "0 and 1"), ("101", "2 ones; k is 4")]
)
def test_a_spaced_seed_that_cannot_be_strand_tied_is_refused(spaced, named, genome_of):
    with pytest.raises(ShapeError, match=named):
        count_kmers(genome_of({"c": encode("ACGTACGTAC")}), 4, 2, spaced=spaced)


def test_memory_is_checked_before_the_work(genome_of):
    check_memory(6, 64, 4, watched=True)
    check_memory(7, 64, 4, watched=True)
    with pytest.raises(ConfigError, match=r"about 4\.\d GiB[\s\S]*'memory'[\s\S]*share"):
        check_memory(8, 32, 4, watched=True)
    check_memory(8, 32, 4, watched=False)
    genome = genome_of({"c": encode("ACGTACGTACGTTGCA" * 1000)})
    with pytest.raises(ConfigError, match=r"8-mers needs about 2\.0 GiB[\s\S]*limit is 1 GiB[\s\S]*share of the pairs"):
        count_kmers(genome, 8, 5, memory=1)
    with pytest.raises(ConfigError, match=r"10-mers needs[\s\S]*a share of the pairs: 0\.21 or less"):
        count_kmers(genome, 10, 5, memory=0.001)
    assert count_kmers(genome, 10, 5, memory=0.001, share=0.2).total > 0


def test_the_share_above_k_8_is_what_fits():
    assert affordable_share(8, 5, 10**10, 4) == affordable_share(9, 5, 10**6, 4) == 1
    assert affordable_share(9, 5, 3 * 10**9, 4) == pytest.approx(4 * 2**30 / (64 * 5 * 3e9))
