import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.negatives.pool import Sieve, summit_windows, tiled_windows
from genocontrast.negatives.thinning import disjoint

WIDTH = 10


@given(st.lists(st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 120), st.integers(0, 3)), max_size=40))
def test_disjoint_keeps_the_best_of_each_neighbourhood(rows):
    rows = list({(chrom, start): (chrom, start, p) for chrom, start, p in rows}.values())
    regions = pd.DataFrame(rows, columns=["chrom", "start", "priority"]).astype({"start": int})
    regions["end"] = regions["start"] + WIDTH
    priority = regions["priority"].to_numpy(float)
    keep = disjoint(regions, priority)

    taken = []  # the definition, written as a loop
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i][2], rows[i][1])):
        if all(rows[i][0] != rows[j][0] or abs(rows[i][1] - rows[j][1]) >= WIDTH for j in taken):
            taken.append(i)
    # equal priority and start on two chromosomes do not compete, so order among them is immaterial
    assert set(np.flatnonzero(keep)) == set(taken)


def test_summit_windows_fall_back_to_the_centre():
    regions = pd.DataFrame({"chrom": "chr1", "start": [100, 200], "end": [160, 300], "summit": [110, -1]})
    windows = summit_windows(regions, WIDTH)
    assert windows["start"].tolist() == [105, 245]
    assert (windows["end"] - windows["start"] == WIDTH).all()


@given(st.integers(0, 60), st.integers(1, 25))
def test_tiles_lie_within_their_region(length, stride):
    regions = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [7, 0], "end": [7 + length, 3]})
    tiles = tiled_windows(regions, WIDTH, stride)
    assert tiles["start"].tolist() == list(range(7, 7 + length - WIDTH + 1, stride))


def test_the_sieve_counts_each_rule():
    sieve = Sieve(pd.DataFrame({"x": [1, 2, 3, 4]}))
    sieve.drop("odd", np.array([True, False, True, False]))
    sieve.drop("four", (sieve.rows["x"] == 4).to_numpy())
    assert sieve.removed == {"odd": 2, "four": 1}
    assert sieve.rows["x"].tolist() == [2]
