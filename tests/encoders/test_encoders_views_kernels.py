"""What views do, window by window and letter by letter; soft-masked letters are lower-case."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from view_cases import LETTERS, codes_of, mirrored, random_codes, text_of, views

from genocontrast.encoders.views import kernels
from genocontrast.encoders.views.codes import complement, reverse_complement_codes
from genocontrast.encoders.views.view import Chance

# --- one window at a time: text, then the draws of one window


def slide(text, starts, width):
    return "".join(text[i] if 0 <= i < len(text) else "N" for i in range(starts, starts + width))


def roll(text, offsets):
    return "".join(text[(i + offsets) % len(text)] for i in range(len(text)))


def crop(text, starts, lengths):
    return "".join(letter if starts <= i < starts + lengths else "N" for i, letter in enumerate(text))


def invert(text, starts, lengths):
    return text[:starts] + mirrored(text[starts : starts + lengths]) + text[starts + lengths :]


def insert(text, starts, lengths, trims, bases):
    longer = text[:starts] + "?" * lengths + text[starts:]
    return filled(longer[trims : trims + len(text)], bases)


def delete(text, starts, lengths, pads, bases):
    return filled("?" * pads + text[:starts] + text[starts + lengths :] + "?" * (lengths - pads), bases)


def filled(text, bases):
    return "".join(LETTERS[base] if letter == "?" else letter for letter, base in zip(text, bases, strict=True))


def mutate(text, steps):
    # to the complement's side of A-T and C-G, to the other pair, or both
    others = {0: "ACGT", 1: "CATG", 2: "GTAC", 3: "TGCA"}
    table = {step: str.maketrans("ACGTacgt", row + row.lower()) for step, row in others.items()}
    return "".join(letter.translate(table[step]) for letter, step in zip(text, steps, strict=True))


def misread(text, steps, inserted, deleted, from_right):
    text = text[::-1] if from_right else text
    read = ""
    for letter, new, lost in zip(mutate(text, steps), inserted, deleted, strict=True):
        read += ("" if LETTERS[new] == "N" else LETTERS[new]) + ("" if lost else letter)
    read = read[: len(text)].ljust(len(text), "N")
    return read[::-1] if from_right else read


def turn(text, chosen):
    return mirrored(text) if chosen else text


def drop_masked(text, chosen):
    return "".join("N" if chosen and letter.islower() else letter for letter in text)


PLAIN = {
    getattr(kernels, each.__name__): each
    for each in (slide, roll, crop, invert, insert, delete, mutate, misread, turn, drop_masked)
}


def by_hand(change, row, text):
    """What a change does to one window."""
    draws = change.keywords
    if change.func is kernels.in_turn:
        for each in draws["changes"]:
            text = by_hand(each, row, text)
        return text
    if change.func is kernels.some_in_turn:
        for each, chosen in zip(draws["changes"], draws["chosen"][row].tolist(), strict=True):
            text = by_hand(each, row, text) if chosen else text
        return text
    own = {name: value[row].tolist() if isinstance(value, torch.Tensor) else value for name, value in draws.items()}
    return PLAIN[change.func](text, **own)


def check(view, codes, seed):
    generators = [torch.Generator(codes.device).manual_seed(seed) for _ in range(2)]
    change = view.draw(Chance(*codes.shape, generators[0], codes.device))
    expected = [by_hand(change, row, text) for row, text in enumerate(text_of(codes))]
    assert text_of(change(codes)) == text_of(view(codes, generators[1])) == expected


@settings(max_examples=300)
@given(views(), st.integers(0, 5), st.integers(0, 9), st.integers(0, 10**6))
def test_a_view_does_to_each_window_what_was_drawn_for_it(view, n, more, seed):
    check(view, random_codes(n, view.shortest + more, seed), seed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@given(views(), st.integers(0, 5), st.integers(0, 9), st.integers(0, 10**6))
def test_a_view_does_on_cuda_what_was_drawn_there(view, n, more, seed):
    check(view, random_codes(n, view.shortest + more, seed).cuda(), seed)


# --- the other strand


def mirror(change, length):
    """The change of the other strand that mirrors this one, for codes of `length` bp, and the length it leaves."""
    draws, func = dict(change.keywords), change.func
    if func in (kernels.in_turn, kernels.some_in_turn):
        mirrored_changes = []
        for each in draws["changes"]:
            other, length = mirror(each, length)
            mirrored_changes.append(other)
        return partial(func, **draws | {"changes": mirrored_changes}), length
    if func is kernels.slide:
        return partial(func, **draws | {"starts": length - draws["width"] - draws["starts"]}), draws["width"]
    if func is kernels.roll:
        draws["offsets"] = -draws["offsets"]
    elif func is kernels.insert:
        draws["starts"] = length - draws["starts"]
    elif func in (kernels.crop, kernels.invert, kernels.delete):
        draws["starts"] = length - draws["starts"] - draws["lengths"]
    elif func is kernels.mutate:
        draws["steps"] = draws["steps"].flip(1)
    elif func is kernels.misread:
        # errors are in the order of reading, which is the same; it starts from the other end
        draws |= {"from_right": ~draws["from_right"], "inserted": complement(draws["inserted"])}
    for share in {"trims", "pads"} & set(draws):
        draws[share] = draws["lengths"] - draws[share]
        draws["bases"] = reverse_complement_codes(draws["bases"])
    return partial(func, **draws), length


@settings(max_examples=300)
@given(views(), st.integers(0, 5), st.integers(0, 9), st.integers(0, 10**6))
def test_the_mirror_image_of_a_draw_gives_the_other_strand_of_the_view(view, n, more, seed):
    codes, generator = random_codes(n, view.shortest + more, seed), torch.Generator().manual_seed(seed)
    change = view.draw(Chance(*codes.shape, generator, codes.device))
    other, _ = mirror(change, codes.shape[1])
    assert torch.equal(other(reverse_complement_codes(codes)), reverse_complement_codes(change(codes)))


# --- by hand


def integers(*values):
    return torch.tensor(values)


def steps(*rows):
    return torch.tensor(rows, dtype=torch.uint8)


def test_roll_reads_a_circle_from_any_start_in_either_direction():
    rolled = kernels.roll(codes_of("ACCgT", "ACCgT", "ACCgT"), integers(0, 2, -1))
    assert text_of(rolled) == ["ACCgT", "CgTAC", "TACCg"]


def test_slide_lets_n_in_where_there_is_no_flank():
    slid = kernels.slide(codes_of("ACCgTA", "ACCgTA", "ACCgTA"), integers(1, -2, 5), 4)
    assert text_of(slid) == ["CCgT", "NNAC", "ANNN"]


def test_crop_keeps_a_stretch_in_its_place():
    assert text_of(kernels.crop(codes_of("ACCgT", "ACCgT"), integers(1, 3), integers(3, 2))) == ["NCCgN", "NNNgT"]


def test_invert_turns_a_stretch():
    inverted = kernels.invert(codes_of("AACcgT", "AACcgT", "NACcgT"), integers(1, 3, 0), integers(3, 0, 6))
    assert text_of(inverted) == ["AgGTgT", "AACcgT", "AcgGTN"]


def test_insert_trims_both_ends_by_shares():
    bases = codes_of(*["TTTTT"] * 4)
    inserted = kernels.insert(
        codes_of(*["ACcGA"] * 4), integers(2, 2, 0, 5), integers(2, 2, 1, 2), integers(0, 1, 0, 1), bases
    )
    assert text_of(inserted) == ["ACTTc", "CTTcG", "TACcG", "CcGAT"]


def test_delete_makes_both_ends_up_by_shares():
    bases = codes_of(*["TTTTT"] * 3)
    deleted = kernels.delete(codes_of(*["ACcGA"] * 3), integers(1, 1, 3), integers(2, 2, 2), integers(0, 1, 2), bases)
    assert text_of(deleted) == ["AGATT", "TAGAT", "TTACc"]


def test_steps_lead_to_the_three_other_bases_and_leave_n_and_masks():
    reached = text_of(kernels.mutate(codes_of("ACGTNacgtn").repeat(4, 1), torch.arange(4, dtype=torch.uint8)[:, None]))
    assert reached[0] == "ACGTNacgtn"
    for i, letter in enumerate("ACGTacgt"):
        column = {row["ACGTNacgtn".index(letter)] for row in reached}
        assert column == set("ACGT" if i < 4 else "acgt")
    assert {row[4] + row[9] for row in reached} == {"Nn"}


def test_misread_moves_the_rest_away_from_the_end_where_reading_starts():
    none, keep = [0] * 5, [False] * 5
    codes = codes_of(*["ACcGT"] * 6)
    inserted = codes_of("NGNNN", "NGNNN", "NNNNN", "NNNNN", "NNNNN", "NGNNN")
    lost = [False, True, False, False, False]
    deleted = torch.tensor([keep, keep, lost, lost, keep, lost])
    from_right = torch.tensor([False, True] * 3)
    read = kernels.misread(codes, steps(none, none, none, none, [3, 0, 0, 0, 0], none), inserted, deleted, from_right)
    assert text_of(read) == ["AGCcG", "CcGGT", "AcGTN", "NACcT", "TCcGT", "ACcGT"]


@pytest.mark.parametrize("rate", [0, 1])
def test_misread_stands_every_base_lost_and_every_gap_filled(rate):
    codes = codes_of("ACG", "ACG")
    everywhere, from_right = torch.ones(2, 3, dtype=torch.bool), torch.tensor([False, True])
    inserted = codes_of("TTT", "TTT") if rate else codes_of("NNN", "NNN")
    read = kernels.misread(codes, steps([0] * 3, [0] * 3), inserted, everywhere, from_right)
    assert text_of(read) == (["TTT", "TTT"] if rate else ["NNN", "NNN"])
    read = kernels.misread(codes, steps([0] * 3, [0] * 3), inserted, ~everywhere, from_right)
    assert text_of(read) == (["TAT", "TGT"] if rate else ["ACG", "ACG"])


def test_drop_masked_drops_the_masked_bases_of_chosen_windows():
    assert text_of(kernels.drop_masked(codes_of("AcgTn", "AcgTn"), torch.tensor([True, False]))) == ["ANNTN", "AcgTn"]
