import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import ConfigError, NamingError, RegionError, ShapeError
from genocontrast.kmers import count_cooccurrences, count_genome, counting
from genocontrast.kmers.counting import check_memory
from genocontrast.sequence import canonical_table, encode, kmer_name, reverse_complement

DNA = st.text(alphabet="ACGTN", max_size=60)


def dense(counts):
    return counts.pairs if isinstance(counts.pairs, np.ndarray) else counts.pairs.toarray()


def entries(counts):
    """{(k-mer, k-mer): units} of all pairs that occur, and {k-mer: n}, by name."""
    names = [kmer_name(int(i), counts.k) for i in canonical_table(counts.k)[1]]
    rows, columns = counts.pairs.nonzero()
    pairs = {(names[i], names[j]): int(counts.pairs[i, j]) for i, j in zip(rows, columns, strict=True)}
    return pairs, {names[i]: int(counts.tokens[i]) for i in np.flatnonzero(counts.tokens)}


def by_hand(sequence, k, window):
    """The same, from strings and nested loops."""
    pairs, tokens = {}, {}
    for run in re.findall("[ACGT]+", sequence):
        kmers = [run[i : i + k] for i in range(len(run) - k + 1)]
        names = [min(kmer, kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))) for kmer in kmers]
        for i, centre in enumerate(names):
            tokens[centre] = tokens.get(centre, 0) + 1
            for j, context in enumerate(names):
                if 0 < abs(i - j) <= window:
                    pairs[centre, context] = pairs.get((centre, context), 0) + window - abs(i - j) + 1
    return pairs, tokens


@settings(deadline=None, max_examples=60)
@given(DNA, st.integers(3, 5), st.integers(1, 7))
def test_counts_equal_nested_loops_over_strings(sequence, k, window):
    assert entries(count_cooccurrences(encode(sequence), k, window)) == by_hand(sequence, k, window)


@pytest.mark.parametrize("k", range(3, 9))
@pytest.mark.parametrize("window", [1, 5, 12])
def test_counts_equal_nested_loops_for_every_k(k, window):
    letters = np.random.default_rng(k).choice(list("ACGTN"), 700, p=[0.3, 0.2, 0.2, 0.28, 0.02])
    sequence = "".join(letters) + "ACGT" * 10  # the tail is all palindromes and self-pairs
    assert entries(count_cooccurrences(encode(sequence), k, window)) == by_hand(sequence, k, window)


@pytest.mark.parametrize("k", range(3, 9))
def test_both_strands_give_identical_counts(k):
    codes = np.random.default_rng(1).choice(5, 5000, p=[0.3, 0.15, 0.2, 0.345, 0.005]).astype(np.uint8)
    forward, backward = (count_cooccurrences(strand, k, 5) for strand in (codes, reverse_complement(codes)))
    assert forward.total > 0
    assert abs(forward.pairs - backward.pairs).max() == 0
    assert abs(forward.pairs - forward.pairs.T).max() == 0
    np.testing.assert_array_equal(forward.tokens, backward.tokens)


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


@pytest.mark.parametrize("k", [3, 6, 7])
def test_pieces_blocks_and_batches_change_nothing(k, monkeypatch, genome_of):
    codes = np.random.default_rng(3).choice(5, 4000, p=[0.3, 0.2, 0.2, 0.295, 0.005]).astype(np.uint8)
    genome = genome_of({"a": codes[:1500], "b": codes[1500:1503], "c": codes[1503:]})
    whole = count_genome(genome, genome.sizes, k, 5)
    monkeypatch.setattr(counting, "_BLOCK", 37)
    monkeypatch.setattr(counting, "_PIECE", 100)
    monkeypatch.setattr(counting, "_BATCH", 10)
    cut = count_genome(genome, genome.sizes, k, 5)
    assert abs(whole.pairs - cut.pairs).max() == 0
    np.testing.assert_array_equal(whole.tokens, cut.tokens)


@pytest.mark.parametrize("k", [4, 7])
def test_chromosomes_add_up_exactly(k, markov_codes, genome_of):
    genome = genome_of(markov_codes)
    both = count_genome(genome, ["chrA", "chrB"], k, 5)
    apart = count_genome(genome, ["chrB"], k, 5) + count_genome(genome, ["chrA"], k, 5)
    assert abs(both.pairs - apart.pairs).max() == 0
    np.testing.assert_array_equal(both.tokens, apart.tokens)
    joined = count_cooccurrences(np.concatenate([markov_codes["chrA"], markov_codes["chrB"]]), k, 5)
    assert joined.total > both.total  # pairs across the border, were there none


def test_counts_of_different_windows_do_not_add():
    codes = encode("ACGTTGCATG")
    with pytest.raises(ShapeError, match="window=2"):
        count_cooccurrences(codes, 3, 1) + count_cooccurrences(codes, 3, 2)


def test_each_region_is_a_sequence_of_its_own(genome_of):
    sequence = "ACGTTGCATGACCTGATTACA"
    genome = genome_of({"c": encode(sequence), "d": encode("AAAAAAAA")})
    regions = pd.DataFrame({"chrom": ["c", "c", "d"], "start": [0, 8, 0], "end": [9, 20, 8]})
    counts = count_genome(genome, ["c"], 3, 4, regions)
    assert entries(counts) == by_hand(sequence[:9] + "N" + sequence[8:20], 3, 4)


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (5, 99)])
def test_a_region_outside_its_chromosome_is_named(start, end, genome_of):
    regions = pd.DataFrame({"chrom": ["c"], "start": [start], "end": [end]})
    with pytest.raises(RegionError, match=f"c:{start}-{end}"):
        count_genome(genome_of({"c": encode("ACGTACGTAC")}), ["c"], 3, 2, regions)


def test_an_unknown_chromosome_is_named(genome_of):
    with pytest.raises(NamingError, match=r"'chr1'[\s\S]*it has, to begin with: 1"):
        count_genome(genome_of({"1": encode("ACGTACGTAC")}), ["chr1"], 3, 2)


@pytest.mark.parametrize("sequence", ["", "ACGTAC", "NNNNNNNNNNNNN", "ACGTACNACGTAC"])
def test_a_genome_without_a_pair_is_refused(sequence, genome_of):
    with pytest.raises(RegionError, match="as long as 7 bp"):
        count_genome(genome_of({"c": encode(sequence)}), ["c"], 6, 5)
    assert count_genome(genome_of({"c": encode("ACGTACC")}), ["c"], 6, 5).total == 2


@pytest.mark.parametrize(("k", "window"), [(2, 5), (9, 5), (6, 0), (6, 21)])
def test_settings_out_of_range_are_refused(k, window):
    with pytest.raises(ConfigError, match=r"'(k|window)'"):
        count_cooccurrences(encode("ACGTACGTAC"), k, window)


def test_memory_is_checked_before_the_work():
    check_memory(6, 5, 3_000_000_000, limit=4)
    check_memory(7, 5, 12_000_000, limit=4)
    with pytest.raises(ConfigError, match=r"about 14\.\d GiB[\s\S]*k <= 6"):
        check_memory(8, 5, 12_000_000, limit=4)
    check_memory(8, 5, 12_000_000, limit=20)


def test_memory_needed_grows_with_k_and_with_the_genome():
    needed = []
    for k, bases in [(6, 10**7), (7, 10**6), (7, 10**7), (8, 10**6), (8, 10**9)]:
        with pytest.raises(ConfigError) as caught:
            check_memory(k, 5, bases, limit=1e-6)
        needed.append(float(re.search(r"about ([\d.]+) GiB", str(caught.value))[1]))
    assert all(a < b for a, b in pairwise(needed))
