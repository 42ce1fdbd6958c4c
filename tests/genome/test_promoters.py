"""TSS, promoter windows and the surroundings of evidence, on both strands."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.errors import RegionError
from genocontrast.genome import Genome
from genocontrast.genome.promoters import (
    collapse,
    inside,
    most_5prime,
    promoter_windows,
    start_sites,
    surroundings,
    unique_sites,
)


def frame(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"]).assign(name="n", score=np.nan)


def places(regions):
    return regions[["start", "end"]].to_numpy().tolist()


def test_the_tss_is_the_first_transcribed_base():
    sites = start_sites(frame(("a", 10, 20, "+"), ("a", 10, 20, "-")))
    assert places(sites) == [[10, 11], [19, 20]]
    assert sites["tss"].tolist() == [10, 19]


def test_the_tss_base_is_the_first_downstream_base():
    windows = promoter_windows(start_sites(frame(("a", 10, 20, "+"), ("a", 10, 20, "-"))), 4, 3)
    assert places(windows) == [[6, 13], [17, 24]]


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 99), st.sampled_from("+-"))
def test_windows_read_alike_on_both_strands(tmp_path_factory, upstream, downstream, tss, strand):
    """The TSS lands on the same column of the extracted window, whatever the strand."""
    sequence = ["C"] * 200
    sequence[50 + tss] = "A" if strand == "+" else "T"
    path = tmp_path_factory.mktemp("tss") / "g.fa"
    path.write_text(f">a\n{''.join(sequence)}\n")
    windows = promoter_windows(start_sites(frame(("a", 50 + tss, 51 + tss, strand))), upstream, downstream)
    ((found,),) = [np.flatnonzero(Genome(path).codes(windows)[0] == 0)]
    assert found == upstream


def test_regions_without_strand_are_refused_with_their_places():
    regions = frame(("a", 1, 2, "+"), ("a", 3, 4, "."), ("b", 5, 6, "."))
    with pytest.raises(RegionError, match=r"f\.bed: 2 of 3 regions have no strand.*a:3-4, b:5-6") as error:
        start_sites(regions, "f.bed")
    assert "strand" in str(error.value.remedy)


def test_one_row_per_site_and_strand():
    sites = start_sites(frame(("b", 5, 9, "+"), ("a", 5, 9, "+"), ("a", 5, 20, "+"), ("a", 2, 6, "-")))
    unique = unique_sites(sites.assign(name=list("wxyz")))
    assert unique[["chrom", "tss", "strand", "name"]].to_numpy().tolist() == [
        ["a", 5, "+", "x"], ["a", 5, "-", "z"], ["b", 5, "+", "w"]
    ]  # fmt: skip


def test_a_site_has_the_best_score_of_its_rows():
    sites = start_sites(frame(("a", 100, 109, "+"), ("a", 100, 120, "+"), ("a", 130, 140, "+")))
    unique = unique_sites(sites.assign(score=[1.0, 1000.0, 500.0]))
    assert unique["score"].tolist() == [1000.0, 500.0]
    assert collapse(unique, 50)["tss"].tolist() == [100]


def test_inside():
    assert inside(frame(("a", 0, 9, "+"), ("a", -1, 3, "+"), ("a", 5, 10, "+")), {"a": 9}).tolist() == [
        True,
        False,
        False,
    ]


def test_surroundings_of_evidence():
    regions = frame(
        ("a", 100, 120, "+"), ("a", 100, 120, "-"), ("a", 100, 120, "."), ("a", 3, 4, "."), ("a", 195, 196, "-")
    )
    clear = surroundings(regions, 10, 2, {"a": 200})
    # The 5' base itself, 10 bp before it and 2 bp behind it.
    assert places(clear) == [[90, 103], [117, 130], [90, 130], [0, 14], [193, 200]]
    assert clear["end"].dtype == np.int64


def test_surroundings_of_nothing_asked_for_is_the_place_itself():
    assert places(surroundings(frame(("a", 5, 9, "."), ("a", 5, 9, "+")), 0, 0, {"a": 200})) == [[5, 9], [5, 6]]


def test_the_summit_of_a_cage_peak_is_its_tss():
    peaks = frame(("a", 10, 20, "+"), ("a", 10, 20, "-")).assign(summit=[14, 17])
    assert start_sites(peaks, position="summit")["tss"].tolist() == [14, 17]
    with pytest.raises(RegionError, match=r"1 of 2 regions have no summit; the first are a:10-20"):
        start_sites(peaks.assign(summit=[14, -1]), position="summit")
    with pytest.raises(RegionError, match="2 of 2 regions have no summit"):
        start_sites(peaks.drop(columns="summit"), position="summit")


genes = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.integers(0, 40), st.sampled_from("+-"), st.sampled_from(["g", "h", "."]),
        st.sampled_from([np.nan, 1.0, 2.0]),
    ),
    min_size=1, max_size=25,
)  # fmt: skip


def sites_of(rows):
    regions = frame(*((chrom, at, at + 1, strand) for chrom, at, strand, _, _ in rows))
    return start_sites(regions.assign(gene=[row[3] for row in rows], score=[row[4] for row in rows]))


@given(genes)
def test_the_most_5prime_site_of_each_gene(rows):
    kept = most_5prime(sites_of(rows)).index.tolist()

    def is_most(row):
        chrom, at, strand, gene, _ = row
        rivals = [other[1] for other in rows if (other[0], other[2], other[3]) == (chrom, strand, gene)]
        return gene == "." or at == (min(rivals) if strand == "+" else max(rivals))

    assert kept == [index for index, row in enumerate(rows) if is_most(row)]


def test_genes_are_told_by_name_where_there_is_no_gene_column():
    sites = start_sites(frame(("a", 5, 9, "+"), ("a", 3, 9, "+"), ("a", 7, 9, "+")).assign(name=["x", "x", "y"]))
    assert most_5prime(sites)["tss"].tolist() == [3, 7]


@given(genes, st.integers(0, 12))
def test_collapsed_sites_are_the_best_and_stand_apart(rows, within):
    """The reference goes through the sites from best to worst and takes each that no taken one is near to."""
    unique = unique_sites(sites_of(rows))
    assert unique["transcripts"].sum() == len(rows)

    def rank(site):
        score = -np.inf if np.isnan(site.score) else site.score
        return -score, -site.transcripts, site.tss if site.strand == "+" else -site.tss

    taken = []
    for site in sorted(unique.itertuples(), key=rank):
        if not any(
            (site.chrom, site.strand) == (other.chrom, other.strand) and abs(site.tss - other.tss) <= within
            for other in taken
        ):
            taken.append(site)
    found = collapse(unique, within)
    assert sorted(zip(found["chrom"], found["tss"], found["strand"], strict=True)) == sorted(
        (site.chrom, site.tss, site.strand) for site in taken
    )
    assert found["tss"].groupby(found["chrom"]).apply(lambda tss: tss.is_monotonic_increasing).all()
