"""What promoters and decoys are compared on: composition, openness and surroundings of each window."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.config import COVARIATES, RESERVED
from genocontrast.errors import GenocontrastWarning, PoolError, ShapeError
from genocontrast.genome.fasta import Genome
from genocontrast.genome.signal import Signal
from genocontrast.sequence import canonical_table, kmer_frequencies

Floats = NDArray[np.float64]

BACKGROUND_K = 3
"""Length of the k-mers of the background profile: 32 canonical ones."""
BACKGROUND_AXES = 3
"""Principal axes of the profile that are matched on."""
OPEN_SHARE = 0.5
"""Part of the typical height of a promoter's signal from which a base counts as open."""
CHUNK = 1 << 22
"""Bases of windows that are held in memory at a time."""
CONSTANT = 1e-9
"""Standard deviation below which a covariate is constant."""


class Covariates:
    """Measures windows. What must be fitted, is fitted on a reference: the training promoters.

    Parameters
    ----------
    names : sequence of str
        gc: fraction of G and C among called bases; cpg: CpG observed/expected; accessibility: log(1 + total signal);
        open_fraction: part of the bases on which the signal reaches half of a promoter's typical height; repeat:
        soft-masked fraction; n: fraction of N; length: log2 of bp; tss_distance: log10 of 1 + bp to the nearest TSS
        outside of the window; kmers: principal axes of the canonical 3-mer frequencies; or a name in `tracks`: its
        mean.
    genome : Genome
    signal : Signal, optional
        Needed for accessibility and open_fraction.
    tracks : mapping of str to Signal, optional
        Further tracks by name: mappability, conservation, a second assay.
    sites : DataFrame, optional
        Every TSS (chrom, start, end), needed for tss_distance.
    reference : DataFrame, optional
        chrom, start, end of the training promoters, needed for open_fraction and kmers.

    Attributes
    ----------
    columns : list of str
        One per name, several of kmers.
    fitted : dict
        What was fitted on the reference, as plain values.

    Raises
    ------
    ShapeError
        At an unknown name, or one whose input is not given.
    """

    def __init__(
        self,
        names: Sequence[str],
        genome: Genome,
        signal: Signal | None = None,
        tracks: Mapping[str, Signal] | None = None,
        sites: pd.DataFrame | None = None,
        reference: pd.DataFrame | None = None,
    ) -> None:
        self.names, self.genome, self.signal, self.sites = list(dict.fromkeys(names)), genome, signal, sites
        self.tracks = dict(tracks or {})
        self._check(reference)
        self.columns = [column for name in self.names for column in columns_of(name)]
        self.fitted: dict[str, float] = {}
        if "open_fraction" in self.names and signal is not None and reference is not None:
            heights = signal.max(reference)
            self.fitted["open_threshold"] = float(OPEN_SHARE * np.median(heights)) or 1.0
        if "kmers" in self.names and reference is not None:
            frequencies = self._kmers(reference)
            self._centre = frequencies.mean(0)
            self._axes = _principal_axes(frequencies - self._centre)

    def _check(self, reference: pd.DataFrame | None) -> None:
        needs = {
            "accessibility": ("a signal", self.signal),
            "open_fraction": ("a signal", self.signal),
            "tss_distance": ("the TSSs", self.sites),
        }
        for name, track in self.tracks.items():
            if name in COVARIATES or name in RESERVED or name.startswith("kmers_"):
                raise ShapeError(
                    f"the track '{name}' has the name of a covariate or column", remedy="name it otherwise"
                )
            if not hasattr(track, "mean"):
                raise ShapeError(f"the track '{name}' is no Signal", value=str(track), remedy="pass gct.Signal(path)")
        if self.signal is not None and not hasattr(self.signal, "mean"):
            raise ShapeError("signal is no Signal", value=str(self.signal), remedy="pass gct.Signal(path)")
        for name in self.names:
            if name not in COVARIATES and name not in self.tracks:
                known = ", ".join([*COVARIATES, *self.tracks])
                raise ShapeError(
                    f"unknown covariate '{name}'", remedy=f"known: {known}; name others in negatives.tracks"
                )
            what, given = needs.get(name, ("", True))
            if given is None:
                remedy = "pass signal=gct.Signal('atac.bw')" if what == "a signal" else "pass sites"
                raise ShapeError(f"matching on {name} needs {what}", remedy=remedy)
            if name in ("open_fraction", "kmers") and reference is None:
                raise ShapeError(f"the covariate {name} is fitted on the training promoters", remedy="pass reference")

    def measure(self, regions: pd.DataFrame) -> pd.DataFrame:
        """Covariates of windows of one width.

        Parameters
        ----------
        regions : DataFrame
            chrom, start, end; n rows.

        Returns
        -------
        DataFrame, shape=(n, len(columns)), float64

        Raises
        ------
        ShapeError
            At a signal that is negative or not a number.
        """
        length = (regions["end"] - regions["start"]).to_numpy()
        found: dict[str, Floats] = {}
        if {"gc", "cpg", "n", "repeat"} & set(self.names):
            counts = self.genome.counts(regions)
            found = {"gc": counts.gc_fraction, "cpg": counts.cpg_ratio}
            found |= {"n": 1 - counts.called / length, "repeat": counts.masked / length}
        if "kmers" in self.names:
            placed = (self._kmers(regions) - self._centre) @ self._axes
            found |= dict(zip(columns_of("kmers"), placed.T, strict=True))
        if "length" in self.names:
            found["length"] = np.log2(length)
        if self.signal is not None and "accessibility" in self.names:
            found["accessibility"] = accessibility(regions, self.signal)
        if self.signal is not None and "open_fraction" in self.names:
            found["open_fraction"] = self.signal.open_fraction(regions, self.fitted["open_threshold"])
        if self.sites is not None and "tss_distance" in self.names:
            found["tss_distance"] = np.log10(1 + distance_outside(regions, self.sites))
        for name, track in self.tracks.items():
            if name in self.names:
                found[name] = _finite(track.mean(regions), name)
        empty = np.zeros(len(regions))
        return pd.DataFrame({column: found.get(column, empty) for column in self.columns}, index=regions.index)

    def _kmers(self, regions: pd.DataFrame) -> Floats:
        """Frequencies of the canonical k-mers; shape=(n, 32)."""
        parts = [kmer_frequencies(self.genome.codes(rows), BACKGROUND_K) for rows in chunks(regions)]
        return np.concatenate(parts) if parts else np.zeros((0, len(canonical_table(BACKGROUND_K)[1])))


def chunks(regions: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The regions, about `CHUNK` bases at a time."""
    step = max(CHUNK // max(int((regions["end"] - regions["start"]).max()), 1), 1) if len(regions) else 1
    for first in range(0, len(regions), step):
        yield regions.iloc[first : first + step]


def columns_of(name: str) -> list[str]:
    """The columns of a covariate."""
    return [f"kmers_{axis}" for axis in range(1, BACKGROUND_AXES + 1)] if name == "kmers" else [name]


def _principal_axes(centred: Floats) -> Floats:
    """Directions of largest variance, shape=(features, `BACKGROUND_AXES`), each with its largest entry positive."""
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :BACKGROUND_AXES]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0)
    return axes * np.sign(largest)


def accessibility(regions: pd.DataFrame, signal: Signal) -> Floats:
    """log(1 + total signal) of each window; for ATAC fragments the total is the number of Tn5 cuts. shape=(n,)."""
    total = signal.mean(regions) * (regions["end"] - regions["start"]).to_numpy()
    if (total < 0).any():
        raise ShapeError(
            f"the accessibility signal is negative in {(total < 0).sum():,} of {len(total):,} windows",
            remedy="give counts or fold changes, not log ratios",
        )
    return np.log1p(_finite(total, "the accessibility signal"))


def _finite(values: Floats, name: str) -> Floats:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ShapeError(
            f"{name} is not a number in {bad:,} of {len(values):,} windows",
            remedy="write the track again without NaN; places without data may be left out of the file",
        )
    return values


def distance_outside(regions: pd.DataFrame, sites: pd.DataFrame) -> Floats:
    """Distance, bp, from each region's edge to the nearest site that does not lie in it.

    A promoter's own start lies in its window: what is compared is the distance to the next gene's.

    Returns
    -------
    float64, shape=(n,)
        1e9 where the chromosome has no other site.
    """
    found = np.full(len(regions), 1e9)
    starts, ends = regions["start"].to_numpy(), regions["end"].to_numpy()
    places = {str(chrom): np.sort(rows["start"].to_numpy()) for chrom, rows in sites.groupby("chrom", observed=True)}
    for chrom, rows in regions.reset_index(drop=True).groupby("chrom", sort=False, observed=True).indices.items():
        here = np.concatenate([[-np.inf], places.get(str(chrom), np.zeros(0)), [np.inf]])
        left = starts[rows] - here[np.searchsorted(here, starts[rows], side="left") - 1] - 1
        right = here[np.searchsorted(here, ends[rows], side="left")] - ends[rows]
        found[rows] = np.minimum(np.minimum(left, right), found[rows])
    return found


def scales(
    promoters: pd.DataFrame, candidates: pd.DataFrame, columns: Sequence[str], quiet: Sequence[str] = ()
) -> dict[str, float]:
    """Standard deviation of each covariate that varies, over the training promoters.

    Where these are all alike and other windows are not, it is that of all windows, so that they still count as
    different. A covariate that is the same everywhere has none; a warning names it, but for those in `quiet`.

    Parameters
    ----------
    promoters, candidates : DataFrame
        split and the columns.

    Raises
    ------
    PoolError
        Where every covariate is constant, or there are fewer than two training promoters.
    """
    training = promoters[promoters["split"] == "train"]
    if len(training) < 2:
        raise PoolError("fewer than two promoters lie in the training split", value=len(training))
    found = {}
    for column in columns:
        spread = float(training[column].std(ddof=1))
        if not spread > CONSTANT:
            spread = float(pd.concat([promoters[column], candidates[column]]).std(ddof=1))
        if spread > CONSTANT:
            found[column] = spread
        elif column not in quiet:
            warnings.warn(
                f"the covariate '{column}' is {float(training[column].iloc[0]):g} everywhere and is left out",
                GenocontrastWarning,
                stacklevel=4,
            )
    if not found:
        raise PoolError(
            f"every covariate is constant over {len(promoters):,} promoters and {len(candidates):,} candidates: "
            f"{', '.join(columns)}",
            remedy="name covariates that vary in negatives.covariates, and check sequence and signal",
        )
    return found
