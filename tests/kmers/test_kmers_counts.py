import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.errors import ConfigError, FileFormatError, ShapeError
from genocontrast.kmers import CooccurrenceCounts, count_kmers, merge
from genocontrast.kmers.counting import count_cooccurrences
from genocontrast.kmers.counts import unpacked
from genocontrast.sequence import encode


def same(one, other):
    assert one.settings == other.settings
    for name in ("values", "tokens", "cells"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    return True


@pytest.mark.parametrize("k", [4, 7, 9])
def test_chromosomes_add_up_exactly(k, markov_codes, genome_of):
    genome = genome_of(markov_codes)
    both = count_kmers(genome, k, 5)
    apart = count_kmers(genome, k, 5, chroms=["chrB"]) + count_kmers(genome, k, 5, chroms=["chrA"])
    assert same(both, apart)
    assert both.sequences == apart.sequences == {"chrA": 59_950, "chrB": 30_000}
    joined = count_cooccurrences(np.concatenate([markov_codes["chrA"], markov_codes["chrB"]]), k, 5)
    assert joined.total > both.total  # pairs across the border, were there none


def test_sums_that_pass_32_bits_stay_exact():
    counts = count_cooccurrences(encode("AAAAAAAA"), 3, 2)
    large = CooccurrenceCounts(counts.settings, counts.values.copy(), counts.tokens)
    large.values[0] = 2**32 - 1
    total = large + counts
    assert total.values.dtype == np.uint64
    assert int(total.values[0]) == 2**32 - 1 + int(counts.values[0])
    assert (counts + counts).values.dtype == np.uint32


@pytest.mark.parametrize("other", [{"window": 2}, {"skip": 1}, {"share": 0.5}, {"soft_masked": False}])
def test_counts_of_different_settings_do_not_add(other):
    codes = encode("ACGTTGCATGACGT")
    name, value = next(iter(other.items()))
    with pytest.raises(ShapeError, match=f"{name}=.* and {value}"):
        count_cooccurrences(codes, 3, 1) + count_cooccurrences(codes, 3, **{"window": 1, **other})


@pytest.mark.parametrize("first", [0, 3, 30])
def test_rows_and_marginals_are_those_of_the_dense_matrix(first, markov_codes):
    counts = count_cooccurrences(markov_codes["chrB"], 3, 5)
    dense = counts.dense()
    np.testing.assert_array_equal(dense, dense.T)
    assert dense.sum() == counts.total * counts.settings.window
    np.testing.assert_array_equal(counts.rows(first, 32), dense[first:32])
    keep = np.random.default_rng(0).random(32)
    np.testing.assert_allclose(counts.marginals(keep), (dense * np.outer(keep, keep)).sum(1))


def test_lists_have_the_marginals_of_the_table(markov_codes):
    table, lists = (count_cooccurrences(markov_codes["chrB"], 4, 5, share=share) for share in (1.0, 1 - 1e-16))
    assert not table.settings.sparse
    assert lists.settings.sparse
    keep = np.random.default_rng(0).random(136)
    np.testing.assert_allclose(lists.marginals(keep), table.marginals(keep))
    np.testing.assert_array_equal(lists.dense(), table.dense())


@given(st.integers(0, 2**36))
def test_cells_unpack_to_row_and_column(cell):
    b, a = unpacked(np.array([cell]))
    assert 0 <= a[0] <= b[0]
    assert b[0] * (b[0] + 1) // 2 + a[0] == cell


@pytest.mark.parametrize("k", [4, 9])
def test_saved_counts_come_back_in_the_same_bytes(k, markov_codes, genome_of, tmp_path):
    counts = count_kmers(genome_of(markov_codes), k, 5, chroms=["chrB"], skip=2)
    counts.save(tmp_path / "one.counts")
    counts.save(tmp_path / "two.counts")
    assert (tmp_path / "one.counts").read_bytes() == (tmp_path / "two.counts").read_bytes()
    loaded = CooccurrenceCounts.load(tmp_path / "one.counts")
    assert same(loaded, counts)
    assert loaded.sequences == counts.sequences


def test_files_of_single_chromosomes_merge_to_the_whole(markov_codes, genome_of, tmp_path):
    genome = genome_of(markov_codes)
    paths = [tmp_path / f"{chrom}.counts" for chrom in markov_codes]
    for chrom, path in zip(markov_codes, paths, strict=True):
        count_kmers(genome, 5, 5, chroms=[chrom]).save(path)
    assert same(merge(paths), count_kmers(genome, 5, 5))
    with pytest.raises(FileFormatError, match=r"chrA.counts.*counted in one before \(got 'chrA'\)"):
        merge([*paths, paths[0]])


def test_files_of_other_settings_are_named(markov_codes, genome_of, tmp_path):
    genome = genome_of(markov_codes)
    count_kmers(genome, 4, 5, chroms=["chrA"]).save(tmp_path / "a.counts")
    count_kmers(genome, 4, 2, chroms=["chrB"]).save(tmp_path / "b.counts")
    with pytest.raises(FileFormatError, match=r"b\.counts.*window=5 and 2"):
        merge([tmp_path / "a.counts", tmp_path / "b.counts"])
    with pytest.raises(ConfigError, match="no counts to merge"):
        merge([])


@pytest.mark.parametrize("damage", ["short", "lists", "no tokens", "newer"])
def test_damaged_counts_are_refused_before_a_compiled_loop_reads_them(damage, tmp_path):
    import json

    from safetensors.numpy import save_file

    counts = count_cooccurrences(encode("ACGTACGTTGCA"), 3, 2)
    arrays = {"values": counts.values, "tokens": counts.tokens}
    settings = {"k": 3, "window": 2}
    if damage == "short":
        arrays["values"] = arrays["values"][:5]
    elif damage == "lists":
        arrays["cells"] = np.arange(len(counts.values))
    elif damage == "no tokens":
        del arrays["tokens"]
    else:
        settings["from_later"] = 1
    about = {"format": "genocontrast k-mer counts", "settings": settings, "sequences": {}}
    save_file(arrays, tmp_path / "x.counts", {"genocontrast": json.dumps(about)})
    with pytest.raises(FileFormatError, match=r"x\.counts.*damaged"):
        CooccurrenceCounts.load(tmp_path / "x.counts")


def test_another_or_a_truncated_file_is_refused(tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "text").write_text("not counts, but long enough for a header")
    save_file({"values": np.zeros(3)}, tmp_path / "other")
    count_cooccurrences(encode("ACGTACGT"), 3, 2).save(tmp_path / "cut")
    (tmp_path / "cut").write_bytes((tmp_path / "cut").read_bytes()[:-9])
    for name in ("text", "other", "cut", "absent"):
        with pytest.raises(FileFormatError, match=name):
            CooccurrenceCounts.load(tmp_path / name)
