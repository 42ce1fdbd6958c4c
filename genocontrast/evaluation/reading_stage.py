"""The motifs' part of the evaluation stage: what the model reads in the test windows, and how true that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import checksum, write_json
from genocontrast.config import Config
from genocontrast.evaluation.attribution import write_attributions
from genocontrast.evaluation.binding import binding_table
from genocontrast.evaluation.database import KnownMotif, read_motifs, shipped_database
from genocontrast.evaluation.planted import planted_masks, read_sites, recovery, sites_beside
from genocontrast.evaluation.reading import Reading, Windows, find_motifs, write_motifs_meme
from genocontrast.evaluation.scan import composition
from genocontrast.genome.fasta import Genome
from genocontrast.genome.regions import read_regions
from genocontrast.sequence import Codes

if TYPE_CHECKING:
    from genocontrast.training.model import Model


def write_reading(
    folder: Path, model: Model, test: pd.DataFrame, genome: Genome, config: Config, record: dict[str, Any]
) -> None:
    """Write motifs.json, motifs.meme and attributions.npz to `folder`.

    Parameters
    ----------
    folder : Path
    model : Model
    test : pandas.DataFrame
        Examples of the test split, promoters and their matched decoys.
    genome : Genome
    config : Config
    record : dict
        What made them.
    """
    path = Path(config.evaluation.motif_database or shipped_database())
    database = read_motifs(path)
    test = test.reset_index(drop=True)
    codes = genome.codes(test, model.width)
    promoter_rows, decoy_rows = (np.flatnonzero(test["label"] == label) for label in (1, 0))
    windows = Windows(
        codes[promoter_rows],
        codes[decoy_rows],
        own_decoys(test["pair_id"].to_numpy()[promoter_rows], test["pair_id"].to_numpy()[decoy_rows]),
        config.genome.upstream,
    )
    found = find_motifs(model, windows, database, config.evaluation.motifs, config.seed)
    attributed = np.concatenate([promoter_rows[found.rows], decoy_rows[found.decoy_rows]])
    names = test["name"].to_numpy()[attributed].astype(str)
    write_attributions(folder / "attributions.npz", names, found.attribution, record)
    write_json(
        folder / "motifs.json",
        {
            "provenance": record,
            **found.as_dict(),
            "database": {"file": path.name, "sha256": checksum(path), "motifs": len(database)},
            "truth": _truth(found, test, codes, attributed, config),
            "binding": _binding(found, test, codes, attributed, genome, database, config),
        },
    )
    write_motifs_meme(folder / "motifs.meme", found.motifs, composition(codes))


def own_decoys(promoter_pairs: np.ndarray, decoy_pairs: np.ndarray) -> np.ndarray:
    """Row of each promoter's first decoy, -1 where it has none, shape=(promoters,)."""
    pairs, first = np.unique(decoy_pairs, return_index=True)
    if not len(pairs):
        return np.full(len(promoter_pairs), -1)
    place = np.minimum(np.searchsorted(pairs, promoter_pairs), len(pairs) - 1)
    return np.where(pairs[place] == promoter_pairs, first[place], -1)


def _truth(
    found: Reading, test: pd.DataFrame, codes: Codes, attributed: np.ndarray, config: Config
) -> dict[str, Any] | None:
    """How the motifs compare with those planted in a simulated genome, None where there is no such table."""
    path = None if config.evaluation.truth is None else sites_beside(config.evaluation.truth)
    if path is None:
        return None
    sites = read_sites(path)
    masks = planted_masks(test, sites, codes.shape[1])
    identifiers = dict(sorted(set(zip(sites["motif"], sites["matrix_id"], strict=True))))
    promoter = (test["label"] == 1).to_numpy()
    return recovery(found.motifs, masks, identifiers, codes, promoter, found.attribution.contributions, attributed)


def _binding(
    found: Reading,
    test: pd.DataFrame,
    codes: Codes,
    attributed: np.ndarray,
    genome: Genome,
    database: Sequence[KnownMotif],
    config: Config,
) -> dict[str, Any] | None:
    """Attribution at measured binding sites, None where none are given."""
    if not config.evaluation.binding_sites:
        return None
    sites = {name: read_regions(path, genome) for name, path in config.evaluation.binding_sites.items()}
    rows = attributed[: len(found.rows)]  # promoters come first
    return binding_table(
        test.iloc[rows],
        codes[rows],
        found.attribution.contributions[: len(rows)],
        sites,
        database,
        found.motifs,
        config.seed,
    )
