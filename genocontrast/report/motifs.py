"""The motifs of the report: a card for each, which go together, the filters, and how true it is where that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from genocontrast.evaluation.attribution import MUTAGENESIS
from genocontrast.report.maps import logo
from genocontrast.report.svg import DECOY, MUTED, PROMOTER, draw, line_label
from genocontrast.report.tables import Table
from genocontrast.report.wording import NOTHING, estimate, integer, number, percent, plural

_PAIRS_SHOWN = 10


def motif_sentences(motifs: Mapping[str, Any]) -> list[str]:
    """What the figures on the cards are."""
    found, of = motifs["motifs"], motifs["attribution"]
    named = sum(motif["name"] is not None for motif in found)
    database = motifs["database"]
    return [
        f"What the model reads, from {_attributed(of)}. Of {plural(len(found), 'motif')}, {named} have "
        f"a name: the best match among {plural(database['motifs'], 'motif')} of {database['file']} by TOMTOM, with q < "
        "0.05 over these. A name is a likeness, not proof that this factor binds; factors of one family share motifs.",
        "Removal: mean drop of a promoter's probability when the motif's sites are replaced by bases of the same "
        "window. Insertion: mean change of the logit when a site is put into a shuffled decoy, with its 95 % interval. "
        "Enrichment: log2 odds ratio of having a site, test promoters against decoys. Own decoy: pairs in which only "
        "the promoter, and only its decoy, holds a site (McNemar's exact test). The bars show where sites lie relative "
        "to the start, in promoters and in decoys; q of a chi-squared test that both lie alike. All q are corrected "
        "over the motifs.",
    ]


def _attributed(of: Mapping[str, Any]) -> str:
    """How bases were attributed, and of how many windows."""
    windows = f"{plural(of['promoters'], 'test promoter')} and {plural(of['decoys'], 'decoy')}"
    if of["method"] == MUTAGENESIS:
        return f"every substitution in {windows} (a base counts by the logit less its mean over the four bases there)"
    return (
        f"integrated gradients of {windows} against {of['references']} dinucleotide shuffles of each (their sums miss "
        f"the difference of logits by {percent(of['relative_error'])})"
    )


def motif_card(rank: int, motif: Mapping[str, Any]) -> dict[str, Any]:
    """A motif's logo and its places with its figures as text."""
    name, match, own = motif.get("name"), motif["match"], motif["own_decoy"]
    facts = [
        ("family", match["family"] or NOTHING),
        ("match q", small(match["q"])),
        ("sites", integer(motif["sites"])),
        ("removal", number(motif["effect"], 3, signed=True)),
        ("insertion", estimate(motif["insertion"], 2, signed=True) if motif["insertion"] else NOTHING),
        ("enrichment", f"{number(motif['enrichment'], 2, signed=True)} (q {small(motif['enrichment_q'])})"),
        ("promoters : decoys with", f"{integer(motif['promoters_with'])} : {integer(motif['decoys_with'])}"),
        ("own decoy", f"{own['only_promoter']} : {own['only_decoy']} (q {small(own['q'])})"),
        ("position q", small(motif["position"]["q"])),
    ]
    where = motif["position"]["peak"]
    places = "no site" if where is None else f"most of its sites near {number(where, 0, signed=True)} bp"
    return {
        "figure": f"motif-{rank}",
        "title": name or "no database match",
        "named": bool(name),
        "consensus": motif["consensus"],
        "svg": logo(f"motif-{rank}", motif),
        "alt": f"Sequence logo of motif {rank}, consensus {motif['consensus']}, best match {name or 'none'}.",
        "places": _places(f"motif-{rank}-places", motif["position"]),
        "places_alt": f"Where the sites of motif {rank} lie along the window: in promoters {places}.",
        "facts": facts,
    }


def _places(name: str, position: Mapping[str, Any]) -> str:
    """Share of sites in each bin along the window, promoters as bars, decoys as steps."""
    edges = position["edges"]

    def share(counts: Sequence[int]) -> list[float]:
        return [count / max(sum(counts), 1) for count in counts]

    def paint(axes: Axes) -> None:
        widths = np.diff(edges)
        axes.bar(edges[:-1], share(position["promoters"]), widths, align="edge", color=PROMOTER, alpha=0.75, lw=0)
        axes.stairs(share(position["decoys"]), edges, color=DECOY, lw=1.2)
        axes.grid(visible=False)
        axes.set(xlim=(edges[0], edges[-1]), yticks=[], xticks=[edges[0], 0, edges[-1]])
        axes.spines["left"].set_visible(False)
        line_label(axes, 0, 1.06, "promoters", PROMOTER, transform=axes.transAxes)
        line_label(axes, 0.27, 1.06, "decoys", DECOY, transform=axes.transAxes)
        line_label(axes, 1, 1.06, "bp from the start", MUTED, ha="right", transform=axes.transAxes)

    return draw(name, paint, (3.0, 0.85), (0.42, 0.2, 0.1, 0.2))


def small(value: float | None) -> str:
    """A p or q value: two digits, or its power of ten."""
    if value is None:
        return NOTHING
    if value >= 0.001:
        return number(value, 3)
    digits, power = f"{value:.0e}".split("e")
    return "< 1e\u2212300" if value < 1e-300 else f"{digits}e\u2212{abs(int(power))}"


def cooccurrence_table(motifs: Mapping[str, Any]) -> Table:
    """Pairs of motifs that stand in one promoter more or less often than chance would have it."""
    names = {motif["id"]: f"{motif['name'] or motif['consensus']}" for motif in motifs["motifs"]}
    pairs = sorted(motifs["cooccurrence"], key=lambda row: (row["p"], row["motifs"]))
    rows = [
        [
            *(names[name] for name in row["motifs"]),
            integer(row["observed"]),
            number(row["expected"], 1),
            number(row["odds_ratio"], 2),
            small(row["q"]),
        ]
        for row in pairs[:_PAIRS_SHOWN]
    ]
    note = (
        "Test promoters with a site of both, against what chance gives within fifths of GC content: Mantel and "
        f"Haenszel's odds ratio, q over all {plural(len(pairs), 'pair')}. Motifs that resemble each other share sites."
    )
    columns = ("motif", "with", "promoters#", "expected#", "odds ratio#", "q#")
    return Table("Motifs that go together, or do not", columns, rows, note)


def filter_card(row: Mapping[str, Any]) -> dict[str, Any]:
    """A filter of the first convolution as a logo."""
    rank = row["filter"]
    return {
        "figure": f"filter-{rank}",
        "title": row["name"] or "no database match",
        "named": bool(row["name"]),
        "consensus": f"filter {rank}",
        "svg": logo(f"filter-{rank}", row),
        "alt": f"Sequence logo of filter {rank} of the first convolution, best match {row['name'] or 'none'}.",
        "facts": [
            ("stretches", integer(row["sites"])),
            ("promoters \u2212 decoys", f"{number(row['difference'], 2, signed=True)} SD"),
            ("match q", small(row["match"]["q"])),
        ],
    }


def truth_sentence(truth: Mapping[str, Any]) -> str:
    """How many of the planted families were found."""
    overlap, families = truth["overlap"], len(truth["families"])
    return (
        f"The genome is simulated: {truth['distinguishing']} of its {families} planted families of sites are more "
        "frequent in one class of test windows than in the other. With the right name, motifs recover "
        f"{percent(truth['recall'])} of them, and {percent(truth['recall_read'])} of the {truth['read']} that the "
        "model reads (their bases contribute half as much again as those outside of all sites); "
        f"{percent(truth['precision'])} of the motifs are planted ones. In test promoters, the motifs' sites cover "
        f"{percent(overlap['of_planted'])} of the planted bases of these families, and "
        f"{percent(overlap['of_learned'])} of their own bases are planted."
    )


def truth_table(motifs: Mapping[str, Any]) -> Table:
    """Each planted family: where it is, what the model makes of it, and which motif found it."""
    names = {motif["id"]: f"{motif['name'] or motif['consensus']}" for motif in motifs["motifs"]}
    rows = [
        [
            f"{row['family']} ({row['matrix_id']})",
            integer(row["promoters_with"]),
            integer(row["decoys_with"]),
            number(row["contribution_ratio"], 1),
            "; ".join(names[name] for name in row["motifs"]) or NOTHING,
        ]
        for row in sorted(motifs["truth"]["families"], key=lambda row: -row["contribution_ratio"])
    ]
    note = "Contribution: |attribution| per base in planted sites, over that of bases outside of all sites."
    return Table(
        "Planted families", ("family", "promoters with#", "decoys with#", "contribution#", "found as"), rows, note
    )


def binding_table(binding: Mapping[str, Any]) -> Table:
    """Attribution at measured binding sites, factor by factor."""
    rows = [
        [
            row["factor"],
            integer(row["sites"]),
            integer(row["matched"]),
            estimate(row["fold"], 2) if row["fold"] else NOTHING,
            ", ".join(row["motifs"]) or NOTHING,
        ]
        for row in binding["factors"]
    ]
    note = (
        f"Sites in {plural(binding['promoters'], 'test promoter')}; |attribution| per bp within 10 bp of a site over "
        "that of places in the same promoter, at most 50 bp away, with a like GC content and without the factor's "
        f"motif; 95 % bootstrap interval over promoters. {plural(binding['named'], 'factor')} named by a motif."
    )
    return Table("Measured binding sites", ("factor", "sites#", "with controls#", "fold#", "motif"), rows, note)
