"""What trainings with other seeds say, on stand-ins whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from genocontrast.errors import ModelError
from genocontrast.evaluation.metrics import auprc, auroc
from genocontrast.evaluation.seeds import seed_figures


class Of:
    """A model that scores windows by a table."""

    def __init__(self, scores, width=4):
        self.scores, self.width = np.asarray(scores, np.float32), width

    def logits_codes(self, codes):
        assert codes.shape == (len(self.scores), self.width)
        return self.scores


class Blank:
    """A genome whose windows are all the same."""

    def codes(self, regions, width):
        return np.zeros((len(regions), width), np.uint8)


TEST = pd.DataFrame({"label": [1, 1, 0, 0]})
RIGHT, HALF, WRONG = [4, 3, 2, 1], [4, 1, 3, 2], [1, 2, 3, 4]


def test_each_model_has_its_row_and_the_spread_is_of_the_sample():
    found = seed_figures({1: Of(RIGHT), 7: Of(HALF), 5: Of(WRONG)}, TEST, Blank())
    assert [row["seed"] for row in found["rows"]] == [1, 7, 5]
    aurocs = [auroc(TEST["label"], scores) for scores in (RIGHT, HALF, WRONG)]
    assert aurocs == [1.0, 0.5, 0.0]
    assert [row["auroc"] for row in found["rows"]] == aurocs
    assert [row["auprc"] for row in found["rows"]] == [auprc(TEST["label"], s) for s in (RIGHT, HALF, WRONG)]
    assert found["auroc"] == {"mean": pytest.approx(0.5), "sd": pytest.approx(0.5)}


def test_a_single_model_has_no_spread():
    assert seed_figures({1: Of(RIGHT)}, TEST, Blank()) is None


def test_a_model_of_another_run_is_named():
    with pytest.raises(ModelError, match="seed 9 reads windows of 6 bp, not 4 bp"):
        seed_figures({1: Of(RIGHT), 9: Of(RIGHT, width=6)}, TEST, Blank())
