"""Predictions of the test examples for a genome browser."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike, atomic

COLOURS = {1: "0,114,178", 0: "213,94,0"}
"""Promoters blue, decoys orange: Okabe and Ito's colours, as in the report."""
_TRACK = 'track name="genocontrast" description="test examples: score = 1000 x promoter probability" itemRgb="On"'


def write_predictions_bed(path: PathLike, predictions: pd.DataFrame) -> None:
    """Write BED9, sorted by place: score 0 to 1000, coloured by what the example is.

    Parameters
    ----------
    path : path
    predictions : DataFrame
        chrom, start, end, name, strand, label and score, the promoter probability.
    """
    places = predictions.sort_values(["chrom", "start", "end", "label"], kind="stable")
    rows = pd.DataFrame(
        {
            "chrom": places["chrom"],
            "start": places["start"],
            "end": places["end"],
            "name": places["name"].astype(str).str.replace(r"\s+", "_", regex=True),
            "score": np.rint(1000 * places["score"]).astype("int64"),
            "strand": places["strand"],
            "thick_start": places["start"],
            "thick_end": places["end"],
            "colour": places["label"].map(COLOURS),
        }
    )
    with atomic(path) as temporary, open(temporary, "w", newline="") as handle:
        handle.write(f"{_TRACK}\n")
        rows.to_csv(handle, sep="\t", index=False, header=False, lineterminator="\n")
