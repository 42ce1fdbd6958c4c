"""Figures that are not numbers, and tables without rows: found before anything is drawn, and said in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.errors import FileFormatError

_HEADLINE = ("auroc", "auprc", "mcc")
_NO_CURVE = "The metrics hold no curve of the test pairs."


def is_number(value: Any) -> bool:
    """Whether a figure is there and finite."""
    return isinstance(value, int | float) and math.isfinite(value)


def is_interval(value: Any) -> bool:
    """Whether a value and its two limits are numbers."""
    return isinstance(value, Mapping) and all(is_number(value.get(key)) for key in ("value", "low", "high"))


def sound_metrics(metrics: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], list[str]]:
    """The metrics without baselines whose figures are not numbers, and the names of what was left out.

    Raises
    ------
    FileFormatError
        Where the model's own figures are not numbers: there is nothing to report.
    """
    for name in _HEADLINE:
        figure = metrics.get("test", {}).get(name)
        if not is_interval(figure):
            raise FileFormatError(
                f"the model's {name.upper()} on the test pairs is not a number",
                path=path,
                value=figure,
                remedy="see evaluation.log for why, check that the test split holds both classes, and run "
                "`genocontrast evaluation run` again",
            )
    kept, lost = [], []
    for baseline in metrics["baselines"]:
        if all(is_interval(baseline.get(key)) for key in (*_HEADLINE, "difference")):
            kept.append(baseline)
        else:
            lost.append(f"the baseline {baseline['name']}")
    return {**metrics, "baselines": kept}, lost


def sound_predictions(predictions: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The predictions whose score is a number, and how many were left out."""
    known = np.isfinite(predictions["score"].to_numpy(dtype=float))
    lost = int((~known).sum())
    return predictions[known], [f"the scores of {lost:,} test examples"] if lost else []


def why_no_curve(curves: Mapping[str, Any] | None) -> str | None:
    """Why curves cannot be drawn; None where they can."""
    if not curves or any(not curve["x"] or not curve["y"] for curve in curves.values()):
        return _NO_CURVE
    values = [value for curve in curves.values() for axis in ("x", "y") for value in curve[axis]]
    return None if all(map(is_number, values)) else "A curve of the test pairs holds values that are not numbers."


def why_no_scores(predictions: pd.DataFrame) -> str | None:
    """Why the scores cannot be compared between the classes."""
    if predictions.empty:
        return "No test example has a score."
    classes = sorted(set(predictions["label"]))
    if len(classes) > 1:
        return None
    return f"The test predictions hold {'promoters' if classes == [1] else 'decoys'} only: there is nothing to compare."


def why_no_losses(history: Mapping[str, Any]) -> str | None:
    """Why the course of the training cannot be drawn."""
    losses = [epoch.get("validation_loss") for epoch in history["epochs"]]
    if not losses:
        return "The training's history holds no epoch."
    return None if any(map(is_number, losses)) else "No epoch of the training's history has a validation loss."


def why_no_calibration(calibration: Mapping[str, Any] | None) -> str | None:
    """Why the reliability of the probabilities cannot be drawn."""
    if not calibration:
        return "The calibration was not measured in this run."
    empty = [side for side in ("before", "after") if not calibration[side]["curve"]]
    return f"The calibration curve is empty ({', '.join(empty)})." if empty else None
