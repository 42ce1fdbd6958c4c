"""A data set in memory, for notebooks: what the first two stages of the workflow read, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from genocontrast.artefacts import PathLike
from genocontrast.config import Config, load_config
from genocontrast.display import Described
from genocontrast.genome.fasta import Genome
from genocontrast.genome.signal import Signal
from genocontrast.genome.splits import Splits
from genocontrast.genome.stage import prepare
from genocontrast.negatives.pool import Pool
from genocontrast.negatives.stage import INPUTS, open_pool, open_promoters


@dataclass(frozen=True, repr=False, eq=False)
class Data(Described):
    """What a configuration names, read and checked, as `match_negatives` takes it.

    Attributes
    ----------
    config : Config
    genome : Genome
    signal : Signal
    promoters : DataFrame
        Windows around the start sites, open and disjoint: chrom, start, end, name, strand, tss.
    open_chromatin : DataFrame
        Peaks with their summits.
    pool : Pool
        Candidate decoys: open, and clear of promoters, evidence and blacklist.
    splits : Splits
    excluded : DataFrame
        The blacklist: chrom, start, end.
    record : dict
        What was read, renamed and left out: what genome.json holds.
    """

    config: Config
    genome: Genome
    signal: Signal
    promoters: pd.DataFrame
    open_chromatin: pd.DataFrame
    pool: Pool
    splits: Splits
    excluded: pd.DataFrame
    record: dict[str, Any]

    def facts(self) -> dict[str, str]:
        """What a notebook shows."""
        genome = self.genome.facts()
        return {
            "name": self.config.name,
            "genome": ", ".join(genome[what] for what in ("file", "assembly", "size") if what in genome),
            "signal": self.signal.facts()["files"],
            "open promoters": f"{len(self.promoters):,}",
            "peaks": f"{len(self.open_chromatin):,}",
            "candidate decoys": f"{len(self.pool.windows):,}",
            **{split: self.splits.describe(split) for split in self.splits.table["split"].unique()},
        }


def load_data(config: Config | PathLike) -> Data:
    """Read everything that a configuration names, and lay out promoters and candidate decoys.

    Parameters
    ----------
    config : Config or path
        A configuration, or the YAML or JSON file that holds it.

    Returns
    -------
    Data

    Raises
    ------
    GenocontrastError
        For whatever the first two stages of the workflow would stop at, before matching.
    """
    settings = config if isinstance(config, Config) else load_config(str(config))
    prepared = prepare(settings)
    genome, signal = prepared.inputs.genome, prepared.inputs.signal
    splits = Splits.from_records(prepared.record["segments"])
    tables = {name: getattr(prepared, name) for name in INPUTS}
    return Data(
        settings, genome, signal, open_promoters(prepared.promoters, signal, settings).rows, prepared.open_chromatin,
        open_pool(genome, tables, splits, signal, settings), splits, prepared.excluded, prepared.record,
    )  # fmt: skip
