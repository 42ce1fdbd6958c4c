"""The motifs of the report: a card for each, and what its figures are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genocontrast.report.maps import logo
from genocontrast.report.wording import integer, number


def motif_sentence(motifs: Mapping[str, Any]) -> str:
    """What the figures on the cards are."""
    database = (motifs.get("database") or {}).get("file") or "the motif database"
    return (
        "What the model reads, from its attributions. Effect: mean drop of a promoter's score when the motif's sites "
        "are replaced by bases drawn from the same window. Enrichment: log2 odds ratio of having a site, test "
        f"promoters against decoys. A name is the best match in {database}, not proof that this factor binds."
    )


def motif_card(rank: int, motif: Mapping[str, Any]) -> dict[str, Any]:
    """A motif's logo with its figures as text."""
    name = motif.get("name")
    return {
        "title": name or "no match",
        "named": bool(name),
        "consensus": motif["consensus"],
        "svg": logo(f"motif-{rank}", motif),
        "alt": f"Sequence logo of motif {rank}, consensus {motif['consensus']}, best match {name or 'none'}.",
        "facts": [
            ("match", number(motif.get("match_score"), 2)),
            ("sites", integer(motif["sites"])),
            ("effect", number(motif["effect"], 3, signed=True)),
            ("enrichment", number(motif["enrichment"], 2, signed=True)),
            ("promoters with", integer(motif["promoters_with"])),
            ("decoys with", integer(motif["decoys_with"])),
        ],
    }
