"""TSS, promoter windows and the surroundings of evidence, on both strands."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.errors import RegionError
from genocontrast.genome import Genome
from genocontrast.genome.promoters import inside, promoter_windows, start_sites, surroundings, unique_sites


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
