"""What the k-mer space means: its figures as a table and in words, and the sets of k-mers worth showing on its map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genocontrast.report.tables import Table
from genocontrast.report.wording import NOTHING, estimate, integer, limits, listing, number, percent, plural

SHOWN = 4
"""Sets on the map."""
LARGE = 6
"""K-mers of a set that is shown."""
SIGNIFICANT = 0.05
_TITLES = {"motifs": "K-mers of known motifs", "sites": "K-mers enriched at measured binding sites"}
_VIEWS = {"all": "All pairs", "apart": "Pairs that do not overlap", "alike": "At the same edit distance"}


def shown_sets(space: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The motifs whose k-mers cohere best among pairs that do not overlap, at most four."""
    if not space or not space["run"]:
        return []
    sets = space["truths"]["motifs"]["sets"]
    found = [one for one in sets if (one["p"]["apart"][0] or 1) <= SIGNIFICANT and len(one["kmers"]) >= LARGE]
    return sorted(found, key=lambda one: (-one["auroc"]["apart"][0], one["identifier"]))[:SHOWN]


def space_tables(space: Mapping[str, Any]) -> list[Table]:
    """For each kind of truth: similarities and views with their AUROC, interval and p."""
    return [_table(_TITLES[truth], found, space) for truth, found in sorted(space["truths"].items())]


def _table(title: str, found: Mapping[str, Any], space: Mapping[str, Any]) -> Table:
    rows = []
    for source in found["sources"]:
        row = [source["name"], NOTHING if source["skip"] is None else str(source["skip"])]
        for view in _VIEWS:
            figure = source["views"][view]
            row.append(estimate(figure["auroc"]) if figure["auroc"] else NOTHING)
        rows.append(row)
    counts, views = found["counts"], found["sources"][0]["views"] if found["sources"] else {}
    lost = "; ".join(
        f"{plural(views[view]['pairs_without_control'], 'pair')} of the view \u2018{name}\u2019 had no control"
        for view, name in _VIEWS.items()
        if views and views[view]["pairs_without_control"]
    )
    note = (
        "AUROC: how often a k-mer of the set is nearer to another one of the set than a k-mer of the same GC, CpG and "
        f"frequency is; mean over {plural(counts['measured'], 'set')} (of {counts['of']}: {counts['too_few_kmers']} "
        f"with fewer than 3 k-mers, {counts['repeated']} that repeat another one), in brackets its 95 % bootstrap "
        f"interval over sets. {_chance(found['sources'], space['permutations'])} Skipped: nearest "
        "positions that the window leaves out. At the same edit distance, that distance says nothing: 0.5."
    )
    columns = ["Similarity", "Skipped#", *(f"{name}#" for name in _VIEWS.values())]
    return Table(title, columns, rows, f"{note} {lost}." if lost else note, frozenset({0}))


def _chance(sources: Sequence[Mapping[str, Any]], permutations: int) -> str:
    """The p-values, of which most are alike: those that are not significant are named."""
    larger = [
        f"{source['name']}{_skipping(source)}, {name.lower()}: {number(source['views'][view]['p'])}"
        for source in sources
        for view, name in _VIEWS.items()
        if (source["views"][view]["p"] or 0) > SIGNIFICANT
    ]
    start = f"p, by {integer(permutations)} random choices of k-mers of the same composition: {SIGNIFICANT:g} or less"
    return f"{start}, but for {listing(larger)}." if larger else f"{start}, for every figure."


def _skipping(source: Mapping[str, Any]) -> str:
    return f" that skip {source['skip']}" if source["skip"] else ""


def space_sentences(space: Mapping[str, Any]) -> list[str]:
    """What the figures say: how much of the structure is overlap, and which similarity is the best."""
    return [
        sentence
        for truth, found in sorted(space["truths"].items())
        if found["sources"] and found["sources"][0]["views"]["all"]["auroc"]
        for sentence in (f"{_TITLES[truth]}. {_overlap(found['sources'])} {_winner(found['sources'])}",)
    ]


def _overlap(sources: Sequence[Mapping[str, Any]]) -> str:
    """How much of what the vectors know is overlap, by leads over chance."""
    ours = sources[0]
    views = ours["views"]
    start = (
        "By the vectors they are nearer to each other than to other k-mers of the same composition, with AUROC "
        f"{estimate(views['all']['auroc'])}. Many overlap, shifted by a base or two; without such pairs it is "
        f"{_value(views['apart'])}."
    )
    if views["all"]["auroc"]["low"] <= 0.5:
        return f"{start} An interval that includes 0.5 is no structure."
    beyond = next((one for one in sources[1:] if one["name"] == ours["name"] and one["skip"]), None)
    last = (beyond or ours)["views"]["apart"]
    if beyond:
        start += (
            f" Neighbours share bases, too: vectors of a window that leaves these out reach {_value(last)} on the same "
            f"pairs, and {_value(beyond['views']['alike'])} against controls at the same edit distance."
        )
    if not last["auroc"] or last["auroc"]["low"] <= 0.5:
        return f"{start} Apart from overlap nothing is left that chance could not give."
    left = (last["auroc"]["value"] - 0.5) / (views["all"]["auroc"]["value"] - 0.5)
    share = percent(min(left, 1.0))
    return f"{start} So {share} of the lead over chance is no overlap; the rest cannot be told from overlap."


def _value(view: Mapping[str, Any]) -> str:
    return estimate(view["auroc"]) if view["auroc"] else "no figure"


def _winner(sources: Sequence[Mapping[str, Any]]) -> str:
    """Our vectors against each other similarity of the usual window, on pairs that do not overlap."""
    ours, words = sources[0], []
    for other in sources[1:]:
        gain = other["views"]["apart"]["gain"]
        if gain is None or other["skip"] not in (None, ours["skip"]):
            continue
        verb = "beat" if gain["low"] > 0 else "lose to" if gain["high"] < 0 else "do not differ from"
        words.append(f"{verb} {other['name']} ({number(gain['value'], signed=True)}, {limits(gain, signed=True)})")
    return f"On pairs that do not overlap the vectors {listing(words)}." if words else ""
