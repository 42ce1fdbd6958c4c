"""Predictions for a genome browser."""

import pandas as pd

from genocontrast.evaluation.tracks import write_predictions_bed


def test_the_bed_is_sorted_coloured_and_whole(tmp_path):
    predictions = pd.DataFrame(
        {
            "chrom": ["chr2", "chr1", "chr1"],
            "start": [5, 90, 10],
            "end": [65, 150, 70],
            "name": ["a b", "d1", "p1"],
            "strand": ["-", "+", "."],
            "label": [1, 0, 1],
            "score": [1.0, 0.0004, 0.7126],
        }
    )
    write_predictions_bed(tmp_path / "out.bed", predictions)
    head, *rows = (tmp_path / "out.bed").read_text().splitlines()
    assert head.startswith("track ")
    assert 'itemRgb="On"' in head
    assert rows == [
        "chr1\t10\t70\tp1\t713\t.\t10\t70\t0,114,178",
        "chr1\t90\t150\td1\t0\t+\t90\t150\t213,94,0",
        "chr2\t5\t65\ta_b\t1000\t-\t5\t65\t0,114,178",
    ]
