"""Views as JSON: what a configuration names, what a saved model records."""

import json

import pytest
import torch
from hypothesis import given
from view_cases import random_codes, views

from genocontrast.encoders.views import (
    VIEWS,
    Choice,
    Compose,
    Crop,
    Mutation,
    ReverseComplement,
    Rotation,
    Shift,
    View,
    from_config,
    to_config,
)
from genocontrast.errors import ConfigError


@given(views())
def test_json_gives_the_view_again(view):
    again = from_config(json.loads(json.dumps(to_config(view))))
    assert again == view
    codes = random_codes(3, view.shortest + 2, 0)
    there, back = (each(codes, torch.Generator().manual_seed(7)) for each in (view, again))
    assert torch.equal(there, back)


def test_a_view_is_recorded_with_all_its_parameters():
    assert to_config(Mutation(0.05)) == {"mutation": {"rate": 0.05}}
    assert to_config(Shift(8)) == {"shift": {"max_shift": 8, "flank": 0}}
    assert to_config(Compose([Rotation(), Choice([Crop(5)], 1)])) == {
        "compose": {
            "views": [
                {"rotation": {}},
                {"choice": {"views": [{"crop": {"min_length": 5}}], "number": 1, "least": None}},
            ]
        }
    }


def test_a_configuration_may_leave_out_what_has_a_default():
    assert from_config({"reverse_complement": {}}) == ReverseComplement(0.5)
    assert from_config({"rotation": None}) == Rotation()  # as YAML reads "rotation:"
    assert from_config({"shift": {"max_shift": 3}}) == Shift(3, flank=0)


def test_every_view_has_a_name():
    def kinds(parent):
        return {each for kind in parent.__subclasses__() for each in {kind} | kinds(kind)}

    assert set(VIEWS.values()) == {kind for kind in kinds(View) if kind.__module__.startswith("genocontrast.")}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            {"mutations": {"rate": 0.1}},
            r"no such view \(got 'mutations'\)\n  remedy: the views are: choice, compose, crop",
        ),
        ({"mutation": {"rat": 0.1}}, r"view mutation has no such parameter \(got 'rat'\)\n  remedy: .* are: rate$"),
        ({"rotation": {"by": 3}}, r"view rotation has no such parameter \(got 'by'\)\n  remedy: it has no parameters"),
        ({"inversion": {"min_length": 3}}, r"view inversion lacks max_length"),
        ({"mutation": None}, r"view mutation lacks rate"),
        ({"mutation": 0.1}, r"parameters of the view mutation must be named \(got 0.1\)"),
        ({"mutation": {"rate": 7}}, r"rate of Mutation must be a number between 0 and 1 \(got 7\)"),
        ({"mutation": {"rate": 0.1}, "rotation": {}}, r"a view is one name with its parameters"),
        ({}, r"a view is one name with its parameters"),
        ("rotation", r"a view is one name with its parameters"),
        ({"compose": {"views": [{"mutations": {}}]}}, r"no such view \(got 'mutations'\)"),
        ({"compose": {"views": {"rotation": {}}}}, r"views of Compose must be a list of views"),
        ({"choice": {"views": ["rotation"], "number": 1}}, r"a view is one name .* \(got 'rotation'\)"),
    ],
)
def test_what_a_configuration_has_wrong_is_named(config, problem):
    with pytest.raises(ConfigError, match=problem):
        from_config(config)


def test_a_view_of_somebody_elses_is_not_recorded():
    class Own(Rotation):
        pass

    with pytest.raises(ConfigError, match=r"own views can be recorded .*\n  remedy: the views are: choice"):
        to_config(Compose([Own()]))
