"""Views as they are called: their parameters, the generator, how often what happens, and what they refuse."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from view_cases import codes_of, mirrored, random_codes, text_of, views

from genocontrast import sequence
from genocontrast.encoders.views import (
    Choice,
    Compose,
    Crop,
    Deletion,
    Insertion,
    Inversion,
    Mutation,
    RepeatDropout,
    ReverseComplement,
    Rotation,
    SequencingNoise,
    Shift,
    Translocation,
    View,
    mask_of,
    one_hot,
    reverse_complement,
    reverse_complement_codes,
    with_mask,
    without_mask,
)
from genocontrast.encoders.views.view import Chance
from genocontrast.errors import ConfigError, ShapeError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(view, n, length, seed=0):
    """The draws of n windows, by name."""
    return view.draw(Chance(n, length, seeded(seed), torch.device("cpu"))).keywords


# --- codes


def test_codes_and_one_hot_have_the_same_reverse_complement():
    codes = torch.from_numpy(np.random.default_rng(3).integers(0, 5, (6, 31), dtype=np.uint8))
    assert torch.equal(one_hot(reverse_complement_codes(codes)), reverse_complement(one_hot(codes)))
    expected = torch.from_numpy(sequence.reverse_complement(codes.numpy()))
    assert torch.equal(reverse_complement_codes(codes), expected)


@given(st.text("ACGTNacgtn", max_size=30))
def test_the_mask_goes_with_its_base_to_the_other_strand(text):
    codes = codes_of(text)
    assert text_of(reverse_complement_codes(codes)) == [mirrored(text)]
    assert text_of(without_mask(codes)) == [text.upper()]
    assert mask_of(codes).tolist() == [[letter.islower() for letter in text]]
    assert torch.equal(with_mask(without_mask(codes), mask_of(codes)), codes)
    assert torch.equal(one_hot(codes), one_hot(without_mask(codes)))


def test_a_mask_replaces_the_one_before():
    assert text_of(with_mask(codes_of("acGT"), torch.tensor([[False, True, True, False]]))) == ["AcgT"]


@pytest.mark.parametrize("mask", [torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4)])
def test_a_mask_that_does_not_fit_is_named(mask):
    with pytest.raises(ShapeError, match="the mask must be bool"):
        with_mask(codes_of("ACGT"), mask)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_one_hot_has_the_type_that_was_asked_for(dtype):
    codes = codes_of("ACGTN")
    assert one_hot(codes).dtype == torch.float32
    assert one_hot(codes, dtype).dtype == dtype
    assert torch.equal(one_hot(codes, dtype).float(), one_hot(codes))


# --- any view


@given(views(), st.integers(0, 5), st.integers(0, 9), st.integers(0, 10**6))
def test_views_keep_length_type_and_alphabet_and_leave_their_input(view, n, more, seed):
    codes = random_codes(n, view.shortest + more, seed)
    before = codes.clone()
    changed = view(codes, seeded(seed))
    assert changed.shape == (n, codes.shape[1] - 2 * view.flank)
    text_of(changed)  # type and alphabet
    assert torch.equal(codes, before)


@given(views(), st.integers(0, 10**6))
def test_the_same_generator_gives_the_same_views_and_no_other_is_asked(view, seed):
    codes, elsewhere = random_codes(4, view.shortest + 3, seed), torch.random.get_rng_state()
    assert torch.equal(view(codes, seeded(seed)), view(codes, seeded(seed)))
    assert torch.equal(torch.random.get_rng_state(), elsewhere)


EACH = [
    ReverseComplement(),
    Shift(2),
    Shift(2, flank=1),
    Crop(2),
    Mutation(0.3),
    Insertion(2),
    Deletion(2),
    Translocation(2),
    Rotation(),
    Inversion(1, 3),
    RepeatDropout(0.5),
    SequencingNoise(0.2, 0.3, 0.2),
    Compose([Insertion(2), Crop(2)]),
    Choice([Shift(1), Inversion(2, 4), Deletion(1)], 2, least=1),
]


@pytest.mark.parametrize("view", EACH, ids=str)
def test_windows_are_changed_each_in_its_own_way_and_every_call_anew(view):
    codes, generator = codes_of("AcgTCgtAac").repeat(200, 1), seeded()
    first, second = view(codes, generator), view(codes, generator)
    assert len(first.unique(dim=0)) > 1
    assert not torch.equal(first, second)


@pytest.mark.parametrize("view", EACH, ids=str)
def test_the_views_of_the_other_strand_are_the_other_strands_of_the_views(view):
    # all bases are masked, so that new ones can be told from them: which new base came is not asked
    n, codes = 60_000, codes_of("acctg")
    generator, outcomes = seeded(1), []
    for strand in (codes, reverse_complement_codes(codes)):
        views_of = view(strand.repeat(n, 1), generator)
        views_of = views_of if strand is codes else reverse_complement_codes(views_of)
        views_of = torch.where(mask_of(views_of) | (views_of == 4), views_of, 0)
        outcomes.append((views_of.long() << 4 * torch.arange(views_of.shape[1])).sum(1))
    kinds, of_kind = torch.cat(outcomes).unique(return_inverse=True)
    there, back = (each.bincount(minlength=len(kinds)) for each in of_kind.split(n))
    assert len(kinds) > 1
    # two samples of one distribution over k kinds differ by less than 0.57 * sqrt(k / n) in expectation
    assert (there - back).abs().sum() / (2 * n) < 0.8 * (len(kinds) / n) ** 0.5


@pytest.mark.parametrize(
    "view",
    [each for each in EACH if not isinstance(each, Insertion | Deletion | SequencingNoise | Compose | Choice)]
    + [SequencingNoise(0.5, 0, 0.5), Compose([Mutation(1), Shift(2)])],
    ids=str,
)
def test_n_never_becomes_a_base_where_no_base_is_put_in(view):
    assert set("".join(text_of(view(codes_of("NnNnNnN").repeat(50, 1), seeded())))) <= set("Nn")


@pytest.mark.parametrize("view", [Insertion(3), Deletion(3), SequencingNoise(0, 0.5, 0)], ids=str)
def test_bases_that_are_put_in_are_all_four_alike_and_unmasked(view):
    counts = Counter("".join(text_of(view(codes_of("n" * 9).repeat(5000, 1), seeded()))))
    total = sum(counts[base] for base in "ACGT")
    for base in "ACGT":
        assert counts[base] / total == pytest.approx(0.25, abs=4 * (0.1875 / total) ** 0.5)
    assert not set(counts) - set("ACGTnN")


# --- each view


@pytest.mark.parametrize("view", [ReverseComplement(0.2), RepeatDropout(0.2)], ids=str)
def test_windows_are_chosen_as_often_as_was_asked(view):
    chosen = drawn(view, 20_000, 5)["chosen"]
    assert chosen.double().mean().item() == pytest.approx(0.2, abs=4 * (0.16 / 20_000) ** 0.5)


@pytest.mark.parametrize("rate", [0, 0.25, 1])
def test_mutation_replaces_bases_by_the_three_others_alike(rate):
    codes = codes_of("ACGTacgt").repeat(5000, 1)
    changed = Mutation(rate)(codes, seeded())
    for column in range(8):
        counts = Counter(changed[:, column].tolist())
        own = counts.pop(codes[0, column].item(), 0)
        assert own == pytest.approx((1 - rate) * 5000, abs=4 * (rate * (1 - rate) * 5000) ** 0.5)
        for other in counts.values():
            assert other == pytest.approx(rate * 5000 / 3, abs=4 * (rate / 3 * (1 - rate / 3) * 5000) ** 0.5)
        assert len(counts) == (3 if rate else 0)


def uniform(values, least, most):
    """Whether whole numbers least .. most all occur, each as often as the others but for chance."""
    counts = np.bincount(values.numpy() - least, minlength=most - least + 1)
    share = 1 / (most - least + 1)
    return len(counts) == most - least + 1 and bool(
        (abs(counts / len(values) - share) < 4 * (share / len(values)) ** 0.5).all()
    )


def test_moves_are_uniform_in_both_directions():
    assert uniform(drawn(Shift(3), 9000, 10)["starts"], -3, 3)
    assert uniform(drawn(Shift(3, flank=2), 9000, 10)["starts"], -1, 5)
    assert uniform(drawn(Translocation(3), 9000, 10)["offsets"], -3, 3)
    assert uniform(drawn(Rotation(), 9000, 10)["offsets"], 0, 9)


@pytest.mark.parametrize(
    ("view", "bounds", "starts_of"),
    [
        (Crop(7), (7, 10), lambda length: (0, 10 - length)),
        (Inversion(2, 5), (2, 5), lambda length: (0, 10 - length)),
        (Deletion(4), (0, 4), lambda length: (0, 10 - length)),
        (Insertion(4), (0, 4), lambda length: (0, 10)),
    ],
    ids=["crop", "inversion", "deletion", "insertion"],
)
def test_stretches_are_uniform_in_length_and_place(view, bounds, starts_of):
    draws = drawn(view, 20_000, 10)
    assert uniform(draws["lengths"], *bounds)
    for length in range(bounds[0], bounds[1] + 1):
        here = draws["lengths"] == length
        assert uniform(draws["starts"][here], *starts_of(length))
        for share in {"trims", "pads"} & set(draws):
            assert uniform(draws[share][here], 0, length)


def test_shift_brings_in_the_flanks_before_n():
    codes = codes_of("ACGTTGCA").repeat(400, 1)
    assert set(text_of(Shift(1, flank=2)(codes, seeded()))) == {"CGTT", "GTTG", "TTGC"}
    assert set(text_of(Shift(3, flank=2)(codes, seeded()))) == {
        "NACG", "ACGT", "CGTT", "GTTG", "TTGC", "TGCA", "GCAN",
    }  # fmt: skip
    assert set(text_of(Shift(1)(codes_of("ACGT").repeat(400, 1), seeded()))) == {"NACG", "ACGT", "CGTN"}


def test_repeats_are_dropped_where_the_bases_have_moved_to():
    view = Compose([Rotation(), ReverseComplement(), RepeatDropout(1)])
    codes = codes_of("AAccAA").repeat(300, 1)
    found = set(text_of(view(codes, seeded())))
    assert found == {("AANNAA" * 2)[i : i + 6] for i in range(6)} | {("TTNNTT" * 2)[i : i + 6] for i in range(6)}


def test_errors_of_reading_are_as_frequent_as_was_asked_and_from_both_ends():
    draws, n = drawn(SequencingNoise(0.1, 0.2, 0.3), 5000, 10), 50_000
    rates = ((draws["steps"] > 0, 0.1), (draws["inserted"] < 4, 0.2), (draws["deleted"], 0.3))
    for errors, rate in rates:
        assert errors.double().mean().item() == pytest.approx(rate, abs=4 * (rate * (1 - rate) / n) ** 0.5)
    for (one, p), (other, q) in combinations(rates, 2):
        assert (one & other).double().mean().item() == pytest.approx(p * q, abs=4 * (p * q / n) ** 0.5)
    assert draws["from_right"].double().mean().item() == pytest.approx(0.5, abs=4 * (0.25 / 5000) ** 0.5)


# --- made of views


class Mark(View):
    """Put N in one place: it can be seen which views a window got."""

    def __init__(self, place):
        self.place = place

    def changes_only_strand(self, length):
        return False

    def draw(self, chance):
        return lambda codes: codes.index_fill(1, torch.tensor([self.place]), 4)


def test_compose_is_one_view_after_the_other():
    one, two, three = Shift(2, flank=1), Insertion(3), Mutation(0.5)
    codes, generator = random_codes(50, 12, 0), seeded(5)
    expected = three(two(one(codes, generator), generator), generator)
    for view in (Compose([one, two, three]), one.then(two).then(three), one.then(two.then(three))):
        assert torch.equal(view(codes, seeded(5)), expected)
        assert view == Compose((one, two, three))
    assert torch.equal(Compose([])(codes, seeded()), codes)


def test_compose_knows_what_its_views_need_of_the_whole():
    view = Compose([Shift(1, flank=3), Deletion(5), Shift(2, flank=2)])
    assert view.flank == 5
    assert view.shortest == 2 * 3 + 6
    assert Compose([Shift(0, flank=3), Shift(0, flank=2)]).shortest == 2 * 5 + 1
    assert Choice([Crop(4), Deletion(5)], 1).shortest == 6


@pytest.mark.parametrize(("number", "least"), [(1, None), (2, None), (4, None), (3, 1), (2, 0), (3, 3)])
def test_choice_gives_every_combination_of_its_size_alike(number, least):
    n, codes = 12_000, codes_of("AAAA").repeat(12_000, 1)
    found = Counter(text_of(Choice([Mark(place) for place in range(4)], number, least)(codes, seeded())))
    sizes = range(number if least is None else least, number + 1)
    expected = {}
    for size in sizes:
        subsets = list(combinations(range(4), size))
        for subset in subsets:
            text = "".join("N" if place in subset else "A" for place in range(4))
            expected[text] = n / len(sizes) / len(subsets)
    assert set(found) == set(expected)
    for text, count in expected.items():
        assert found[text] == pytest.approx(count, abs=4 * count**0.5)


def test_choice_keeps_the_order_of_its_views():
    codes = codes_of("ACCC").repeat(100, 1)
    assert set(text_of(Choice([Mark(0), ReverseComplement(1)], 2)(codes, seeded()))) == {"GGGN"}
    assert set(text_of(Choice([ReverseComplement(1), Mark(0)], 2)(codes, seeded()))) == {"NGGT"}


# --- views that a strand-tied encoder cannot see


@given(views(), st.integers(0, 3), st.integers(0, 10**6))
def test_views_that_change_only_the_strand_are_those_that_give_the_window_or_its_other_strand(view, more, seed):
    window = "acGTTgNcaAgGtcTTaccGATAGccatGTTaCaag"[: view.shortest + more + 7 + 2 * view.flank]
    found = set(text_of(view(codes_of(window).repeat(200, 1), seeded(seed))))
    inner = window[view.flank : len(window) - view.flank]
    assert (found <= {inner, mirrored(inner)}) == view.changes_only_strand(len(window))


@pytest.mark.parametrize(
    "view",
    [
        ReverseComplement(1),
        Shift(0),
        Shift(0, flank=3),
        Crop(20),
        Mutation(0),
        Insertion(0),
        Deletion(0),
        Translocation(0),
        Inversion(0, 0),
        Inversion(20, 20),
        RepeatDropout(0),
        SequencingNoise(0, 0, 0),
        Compose([]),
        Compose([ReverseComplement(), Mutation(0.0)]),
        Compose([Shift(0, flank=3), Crop(14)]),
        Choice([ReverseComplement(), Shift(0)], 1),
    ],
    ids=str,
)
def test_views_that_change_only_the_strand_are_known(view):
    assert view.changes_only_strand(20)


@pytest.mark.parametrize(
    "view",
    [
        *EACH[1:],
        Choice([ReverseComplement(), Shift(1)], 1),
        Crop(19),
        Inversion(19, 20),
        Compose([ReverseComplement(), Mutation(0.01)]),
        Compose([Crop(14), Shift(0, flank=3)]),
    ],
    ids=str,
)
def test_views_that_change_more_are_known(view):
    assert not view.changes_only_strand(20)


# --- what is refused


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: ReverseComplement(1.5), "probability of ReverseComplement must be a number between 0 and 1 .got 1.5"),
        (lambda: Mutation(-0.1), "rate of Mutation .* -0.1"),
        (lambda: Mutation(float("nan")), "rate of Mutation .* nan"),
        (lambda: Mutation(True), "rate of Mutation .* True"),
        (lambda: Mutation("0.1"), "rate of Mutation .* '0.1'"),
        (lambda: RepeatDropout(2), "probability of RepeatDropout"),
        (lambda: SequencingNoise(0, 2, 0), "insertion of SequencingNoise"),
        (lambda: Shift(-1), "max_shift of Shift must be a whole number of at least 0 .got -1"),
        (lambda: Shift(1, flank=1.0), "flank of Shift .* 1.0"),
        (lambda: Crop(0), "min_length of Crop must be a whole number of at least 1"),
        (lambda: Insertion(True), "max_length of Insertion .* True"),
        (lambda: Deletion(-2), "max_length of Deletion"),
        (lambda: Translocation(-2), "max_shift of Translocation"),
        (lambda: Inversion(3, 2), "min_length of Inversion must not exceed its max_length of 2 .got 3"),
        (lambda: Compose([Rotation(), "shift"]), "views of Compose must all be views .got 'shift'"),
        (lambda: Compose(Rotation()), "views of Compose must be a list of views"),
        (lambda: Choice([Rotation()], 2), "number of Choice must not exceed its 1 views .got 2"),
        (lambda: Choice([Rotation()], 0), "number of Choice must be a whole number of at least 1"),
        (lambda: Choice([Rotation()], 1, 2), "least of Choice must not exceed its number of 1 .got 2"),
        (lambda: Choice([Rotation()], 1, -1), "least of Choice must be a whole number"),
        (lambda: Choice([Rotation(), Shift(1, flank=2)], 1), "must not cut off flanks .got Shift.max_shift=1, flank=2"),
    ],
)
def test_impossible_parameters_are_named(build, problem):
    with pytest.raises(ConfigError, match=problem):
        build()


@pytest.mark.parametrize(
    "view", [Crop(5), Insertion(4), Deletion(4), Translocation(4), Inversion(1, 5), Shift(4), Shift(1, 2)], ids=str
)
def test_windows_that_are_too_short_are_named(view):
    assert view.shortest == 5
    assert view(codes_of("ACGTA"), seeded()).shape == (1, 5 - 2 * view.flank)
    with pytest.raises(ShapeError, match=r"needs windows of at least 5 bp \(got 4\)"):
        view(codes_of("ACGT"), seeded())


@pytest.mark.parametrize(
    "codes",
    [codes_of("ACGT").long(), codes_of("ACGT")[0], one_hot(codes_of("ACGT")), torch.zeros(2, 0, dtype=torch.uint8)],
)
def test_what_is_not_codes_is_named(codes):
    with pytest.raises(ShapeError, match=r"takes codes, uint8 of shape|needs windows of at least 1 bp"):
        Rotation()(codes, seeded())


def test_a_generator_elsewhere_is_named():
    with pytest.raises(ShapeError, match="the generator must be on the device of the codes, meta"):
        Rotation()(torch.zeros(2, 3, dtype=torch.uint8, device="meta"), seeded())
