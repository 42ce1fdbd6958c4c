"""The configuration: every setting, its meaning, unit and default, stated once.

The JSON schema for Snakemake and the defaults of the command line and of the Python functions all come from
here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from genocontrast.errors import ConfigError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
COVARIATES = ("gc", "cpg", "accessibility", "open_fraction", "repeat", "n", "length", "tss_distance", "kmers")
"""Covariates that need no track of their own; negatives/covariates.py says what they measure."""
RESERVED = (
    "chrom", "start", "end", "name", "strand", "label", "pair_id", "tier", "split", "log_q", "evidence", "score",
    "summit", "nearest", "reason", "unused",
)  # fmt: skip
"""Columns of the stage's tables, which no track may be called."""
Tier = Literal["random", "gc", "open", "nearby"]
Lesson = Literal["pool", "random", "gc", "open", "nearby"]
AUDITED_TIERS: tuple[Tier, ...] = ("random", "gc", "open")
"""Tiers of the shortcut audit, the easiest first; `nearby` has the promoters only that have such a neighbour."""
Position = Literal["five_prime", "summit"]
Checksum = Literal["sha256", "md5"]
SIMULATED_MEGABASES = 10.0
"""Size of the simulated genome, Mb."""
SIMULATION_SEED = 1
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def expand(path: str) -> str:
    """Replace ``${NAME}`` and ``${NAME:-default}`` in a path by environment variables."""

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = os.environ.get(name, default)
        if found is None:
            raise ValueError(f"the environment variable {name} is not set")
        return found

    return _VARIABLE.sub(value, path)


FilePath = Annotated[str, Field(min_length=1), AfterValidator(expand)]


class Section(BaseModel):
    """A closed part of the configuration: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


_S = TypeVar("_S", bound=Section)


class EvidenceConfig(Section):
    """One file of places that may be promoters: no decoy comes near any of them."""

    path: FilePath
    """GFF3, GTF, BED or narrowPeak file, or a bigWig or bedGraph (with `threshold`); gzip allowed, but of a bigWig."""
    threshold: float | None = Field(None, gt=0, allow_inf_nan=False)
    """For a bigWig or bedGraph (CAGE, H3K4me3): its bases with at least this value are the evidence."""
    features: list[str] = []
    """Feature types to take from a GFF3 or GTF file (column 3); empty takes all."""
    upstream: int = Field(0, ge=0)
    """bp kept clear upstream of each region's 5' end (both sides where it has no strand)."""
    downstream: int = Field(0, ge=0)
    """bp kept clear downstream of each region's 5' end."""
    only_without_tss: bool = False
    """Skip features whose name has a TSS in `promoters`: the measured start speaks for them."""

    @model_validator(mode="after")
    def _threshold_of_tracks(self) -> Self:
        kinds = [part for part in Path(self.path.lower()).suffixes if part not in (".gz", ".bgz")]
        is_track = bool(kinds) and kinds[-1] in (".bw", ".bigwig", ".bedgraph", ".bdg", ".bg")
        if is_track and self.threshold is None:
            raise ValueError(
                f"{Path(self.path).name} is a track of values: add `threshold`, from which on a base is evidence"
            )
        if self.threshold is not None and not is_track:
            raise ValueError(
                f"{Path(self.path).name} holds regions, which have no threshold: remove it "
                "(it is for .bw, .bigwig, .bedgraph, .bdg and .bg)"
            )
        if is_track and self.only_without_tss:
            raise ValueError(f"{Path(self.path).name} is a track, which names no feature: remove `only_without_tss`")
        return self


class AnnotationConfig(Section):
    """Features by which decoys are described in the report (inside a gene, at a repeat, ...)."""

    path: FilePath
    """GFF3 or GTF file; gzip allowed."""
    features: list[str] = Field(min_length=1)
    """Feature types, the first that holds a decoy's centre gives its class; none of them: intergenic."""


class SplitsConfig(Section):
    """What each split holds. None named: chromosomes or blocks, balanced automatically by promoter count."""

    train: list[str] = []
    """Chromosomes to train on."""
    validation: list[str] = []
    """Chromosomes for early stopping and calibration."""
    test: list[str] = []
    """Chromosomes for the reported figures."""
    sealed: list[str] = []
    """Chromosomes that appear in no split."""
    by: Literal["chromosome", "block"] = "chromosome"
    """What is shared out: whole chromosomes, or blocks along each chromosome (a genome with one or few of them)."""
    block: int = Field(100_000, ge=1)
    """Least size of a block, bp: each chromosome is cut into as many equal blocks as fit (by block only)."""
    gap: int = Field(5_000, ge=0)
    """bp left out between neighbouring blocks of different splits, half on each side (by block only). At least twice
    `training.max_shift`: windows that move in training stay clear of one another."""
    folds: int = Field(0, ge=0)
    """0: one split, 70/15/15 % of the promoters. 3 or more: as many equal folds, for cross-validation."""
    fold: int = Field(0, ge=0)
    """Which fold is the test split, from 0; the next one (after the last, the first) is validation, the rest train."""

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        names = [*self.train, *self.validation, *self.test, *self.sealed]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"chromosomes named in more than one split: {', '.join(twice)}")
        given = [bool(self.train), bool(self.validation), bool(self.test)]
        if any(given) and not all(given):
            raise ValueError("name chromosomes for train, validation and test, or for none of the three")
        if any(given) and (self.folds or self.by == "block"):
            raise ValueError("folds and blocks are shared out automatically: name no chromosomes but sealed ones")
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.folds in (1, 2):
            raise ValueError(f"{self.folds} folds are too few for train, validation and test: 3 or more, or 0 for none")
        if self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} of {self.folds} folds: fold counts from 0 and must be less than folds")
        if self.gap >= self.block:
            raise ValueError(f"the gap of {self.gap} bp leaves nothing of a block of {self.block} bp")
        return self


class GenomeConfig(Section):
    """Inputs: sequence, promoters, open chromatin, and how chromosomes are split."""

    fasta: FilePath
    """Genome sequence: FASTA (plain, gzip or bgzip) or 2bit."""
    promoters: FilePath
    """Annotation that gives the transcription start sites: GFF3, GTF or BED (5' ends of its features)."""
    promoter_features: list[str] = ["transcript", "mRNA"]
    """Feature types of the annotation whose 5' end is a TSS (GFF3, GTF; ignored for BED)."""
    promoter_gene_types: list[str] = []
    """Types of genes whose TSSs make promoters, such as protein_coding (gene_type of GENCODE, gene_biotype of Ensembl);
    TSSs of other genes stay evidence. Empty takes all."""
    tss_position: Position = "five_prime"
    """Where in a region of `promoters` the TSS lies: its 5' end (transcripts, TSS) or its summit (CAGE peaks as
    narrowPeak, or as BED with the TSS as thick part)."""
    tss_min_score: float | None = None
    """Regions of `promoters` with a lower score (column 5 of BED, 6 of GFF) make no promoter but stay evidence."""
    tss_choice: Literal["all", "most_5prime"] = "all"
    """Promoters at every TSS, or only at the most 5' one of each gene."""
    tss_collapse: int = Field(0, ge=0)
    """bp within which TSSs of a strand make one promoter: of the best score, else most transcripts, else most 5'."""
    upstream: int = Field(200, ge=0)
    """bp of the promoter window upstream of the TSS."""
    downstream: int = Field(100, ge=0)
    """bp of the promoter window downstream of the TSS, the TSS base included."""
    max_n_fraction: float = Field(0.05, ge=0, le=1)
    """Windows of either class with a larger fraction of N are removed."""
    open_chromatin: list[FilePath] = []
    """Peak files (BED or narrowPeak) of open chromatin; may be empty where decoys are tiled."""
    signal: list[FilePath] = Field(min_length=1)
    """Accessibility, one file per replicate: bigWig, bedGraph, ATAC fragments (BED, BEDPE, TSV), BAM or CRAM."""
    signal_shift: tuple[int, int] = (4, -5)
    """bp by which the Tn5 cuts of forward and of reverse reads are moved (BAM, CRAM; fragments are shifted already)."""
    signal_min_mapq: int = Field(30, ge=0)
    """Reads with a lower mapping quality make no cut (BAM, CRAM)."""
    exclude: list[FilePath] = []
    """Regions never used (blacklist), BED."""
    evidence: list[EvidenceConfig] = []
    """Further evidence of promoters, besides `promoters` itself."""
    annotation: AnnotationConfig | None = None
    """Features to describe decoys by."""
    splits: SplitsConfig = SplitsConfig()

    @property
    def width(self) -> int:
        """Width of every example, bp."""
        return self.upstream + self.downstream

    @model_validator(mode="after")
    def _wide_enough(self) -> Self:
        if self.width < 50:
            raise ValueError(f"upstream + downstream is {self.width} bp; a window needs at least 50 bp")
        return self


class NegativesConfig(Section):
    """The pool of candidate decoys and how they are matched to promoters."""

    candidates: list[Literal["summits", "peaks", "genome"]] = Field(["summits"], min_length=1)
    """Where candidate windows lie: on peak summits, tiled over the peaks, tiled over the whole genome, or several."""
    stride: int = Field(50, ge=1)
    """Step between tiled windows, bp."""
    min_accessibility: float = Field(0.0, ge=0)
    """Windows of both classes need at least this accessibility: log(1 + total signal in the window)."""
    tss_buffer: int = Field(500, ge=0)
    """bp kept clear around every TSS of every transcript."""
    promoter_margin: int | None = Field(None, ge=0)
    """bp kept clear on each side of every promoter window; null: the width of a window."""
    covariates: list[str] = Field(["gc", "cpg", "accessibility"], min_length=1)
    """What decoys are matched on: gc, cpg, accessibility, open_fraction, repeat (soft-masked fraction), n (fraction
    of N), length, tss_distance (to the nearest TSS outside of the window), kmers (3-mer composition), or a name in
    `tracks`."""
    also_measured: list[str] = ["open_fraction", "repeat"]
    """Covariates that decoys are not matched on: shown in the balance, given to the baselines, not gated."""
    tracks: dict[str, FilePath] = {}
    """Further covariates by name (mappability, conservation, a second assay): bigWig, bedGraph, fragments or BAM."""
    method: Literal["caliper", "cardinality", "greedy"] = "caliper"
    """caliper: the closest pairs (exact assignment). cardinality: as many promoters as the pool can balance, then the
    closest pairs among them, without caliper; for a scarce pool. greedy: caliper without the optimum, to compare."""
    caliper: float = Field(0.5, gt=0)
    """Largest Euclidean distance between the two of a pair, in standard deviations of the promoters' covariates; not
    used by the method cardinality."""
    tolerance: float = Field(0.005, gt=0)
    """Imbalance that cardinality matching may leave, in standard deviations; of cumulatives, twice as much."""
    ratio: int = Field(1, ge=1)
    """Decoys per promoter; where the pool has no more, a promoter keeps fewer, but at least one."""
    exact: list[FilePath] = []
    """What a decoy shares with its promoter exactly: `chrom`, or BED files of named regions (chromosome arms, cell
    types, domains): both lie wholly in a region of one name, or both in none."""
    tiers: list[Tier] = ["random", "gc", "open", "nearby"]
    """Easier decoys for the same promoters, to compare with: anywhere in the genome; of the same GC; open, unmatched;
    and beside the promoter, outside of all buffers. The matched decoys are the tier `hard`."""
    signal_check: bool = True
    """Match again on one replicate, or on one half of the fragments, and measure the balance on the other one."""
    min_retention: float = Field(0.8, ge=0, le=1)
    """The balance gate fails where a smaller fraction of the promoters finds a decoy."""
    max_smd: float = Field(0.1, gt=0)
    """The balance gate fails where a covariate's standardised mean difference is larger."""
    gate: Literal["stop", "warn"] = "stop"
    """What an unbalanced decoy set does: stop the run, or go on with a warning and a red badge in the report."""
    permute_labels: bool = False
    """Negative control: swap promoter and decoy at random within pairs, so that nothing can be learned."""
    frozen: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum of the examples (windows, labels, pairs, tiers and splits), as balance.json gives it. A run that comes
    to others stops: for benchmarks, whose figures must be of the same examples."""

    @model_validator(mode="after")
    def _known_covariates(self) -> Self:
        for name in self.tracks:
            if not name.isidentifier():
                raise ValueError(f"tracks: '{name}' is no name; use letters, digits and _")
            if name in COVARIATES or name in RESERVED or name.startswith(("kmers_", "exact_")):
                raise ValueError(f"tracks: '{name}' is a covariate or a column already; choose another name")
            if name not in [*self.covariates, *self.also_measured]:
                raise ValueError(f"tracks: '{name}' is in neither covariates nor also_measured; add it or leave it out")
        for name in [*self.covariates, *self.also_measured]:
            if name not in COVARIATES and name not in self.tracks:
                known = ", ".join([*COVARIATES, *self.tracks])
                raise ValueError(f"unknown covariate '{name}'; known: {known}; name the file of another one in tracks")
        return self


class KmersConfig(Section):
    """Strand-tied k-mer vectors, fitted on the training chromosomes."""

    k: int = Field(6, ge=3, le=10)
    """Letters of the k-mers; exact up to 8, from a sample of the pairs above."""
    dim: int = Field(32, ge=2)
    """Dimensions of the vectors."""
    window: int = Field(5, ge=1, le=20)
    """Context on each side, in k-mer positions; nearer positions weigh more."""
    skip: int = Field(0, ge=0, le=20)
    """Nearest positions that are left out of the context; k - 1: all whose k-mers share bases with the centre's."""
    spaced: str | None = None
    """Spaced seed, such as 1101011: 1 is a letter of the k-mer, 0 any base; the same backwards. Default: neighbours."""
    soft_masked: bool = True
    """Count soft-masked (lower-case) bases too; false: they are like N."""
    share: float | None = Field(None, gt=0, le=1)
    """Share of the pairs to count, alike for both strands, in lists of those that occur; default: every pair up to
    k = 8, and above what fits into `memory`."""
    objective: Literal["sgns", "infonce"] = "sgns"
    """sgns: skip-gram with negative sampling, in expectation; infonce: InfoNCE of unlimited negatives."""
    log_q: bool = False
    """Correct the scores for how often a k-mer is drawn as a negative: they are then log probabilities of the context
    (infonce: the full softmax); without, log ratios to the draws (pointwise mutual information)."""
    negatives: float = Field(5.0, gt=0)
    """Negative samples per positive pair, in expectation; sgns only."""
    subsample: float = Field(0.0, ge=0)
    """Frequency above which k-mers are thinned, in expectation, as word2vec's `sample`; 0: none is."""
    iterations: int = Field(100, ge=1)
    """Largest number of optimiser iterations."""
    memory: float = Field(4.0, gt=0)
    """Memory that counting and fitting may take, GiB; k = 7 and above need much."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to fit; auto: from k = 7 on CUDA, where there is such a device."""


class PretrainingConfig(Section):
    """Self-supervised training before the promoters: on sequence of the training split only."""

    windows: Literal["none", "open", "genome"] = "none"
    """What to pretrain on: nothing, windows at open chromatin, or all of the training split."""
    epochs: int = Field(10, ge=1)
    """Largest number of passes over these windows."""
    batch: int = Field(256, ge=2)
    """Windows in a batch, each of them seen twice, and one of its neighbourhood."""
    queue: int = Field(0, ge=0)
    """Embeddings of earlier batches that stand beside the batch's own as negatives, made by the moving average of the
    weights (MoCo): for batches of fewer than some 128 windows, where memory is short; 0: none."""
    masked_weight: float = Field(1.0, ge=0)
    """Weight of naming hidden bases, beside that of telling loci apart; 0: none are hidden for that."""


class TrainingConfig(Section):
    """The encoder and its training."""

    encoder: Literal["convolution", "kmers"] = "convolution"
    """convolution: filters that find motifs and how they are arranged. kmers: the pooled vectors of a window's k-mers,
    which start as the `kmers` stage fitted them; much faster, and blind to the order of motifs."""
    pooling: Literal["mean", "sif", "attention"] = "mean"
    """How k-mer vectors become one (encoder kmers only): all weigh the same; frequent k-mers weigh less, by their share
    of the training sequence (SIF); or by a score that is learned for each k-mer."""
    strand: Literal["tied", "twin", "free"] = "tied"
    """tied: filters are pairs of reverse complements; twin: both strands through one plain network, averaged; free:
    a plain network on the given strand, the negative control of the strand audit. A k-mer encoder is always tied."""
    width: int = Field(64, ge=4, multiple_of=2)
    """Channels of the encoder, even: they are pairs of strands (encoder convolution only)."""
    depth: int = Field(3, ge=0)
    """Residual blocks after the first convolution (encoder convolution only)."""
    stride: int = Field(4, ge=1)
    """bp of one bin after the first convolution (encoder convolution only)."""
    pool: Literal["both", "attention", "summary"] = "both"
    """How features along a window become one vector (encoder convolution only). attention: heads weigh the positions.
    summary: the maximum and the mean of each channel. both: side by side."""
    heads: int = Field(4, ge=1)
    """Heads of the attention pool."""
    knots: int = Field(0, ge=0)
    """Points of curves along the window by which the encoder knows where a motif lies: for windows that are aligned to
    something, such as the TSS; 0: where it lies does not count (encoder convolution only)."""
    orientation: Literal["invariant", "stranded"] = "invariant"
    """invariant: both strands are read as one. stranded: a promoter on one strand is told from one on the other, where
    windows are read on their promoter's strand; the score is that of a promoter on either."""
    merge: Literal["mean", "logsumexp", "canonical"] = "mean"
    """How the readings of both strands become one, where the orientation is invariant: their mean, their smooth
    maximum in each feature, or, of a twin, the reading of the strand that sorts first, at half the cost."""
    dim: int = Field(64, ge=2)
    """Dimensions of the embedding."""
    epochs: int = Field(40, ge=1)
    """Largest number of passes over the training pairs."""
    patience: int = Field(8, ge=1)
    """Epochs without a better validation loss, at the temperature that fits an epoch best, before training stops."""
    batch_pairs: int = Field(64, ge=2)
    """Promoter-decoy pairs in a batch."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay of AdamW."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout of the features, before the heads."""
    temperature: float = Field(0.1, gt=0)
    """Temperature of InfoNCE."""
    contrastive_weight: float = Field(0.2, ge=0)
    """Weight of InfoNCE beside the classification loss."""
    classification_weight: float = Field(1.0, ge=0)
    """Weight of telling promoters from decoys; 0: that head learns from features that it has no say in."""
    surrogate_weight: float = Field(1.0, ge=0)
    """Weight of telling windows from surrogates of the same dinucleotide composition: it makes filters find motifs."""
    harmony: Literal["sum", "pcgrad", "upgrad", "cagrad"] = "sum"
    """How the gradients of these losses are combined where they point against each other; sum: they are added. The
    others take a backward pass for each loss."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay, per batch, of the moving average of the weights, which is what is validated and kept; 0: no average."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Numbers of the network while it trains; auto: bfloat16 where the device multiplies in it (CUDA, CPUs with AMX).
    A trained model computes in float32."""
    views: list[dict[str, dict[str, Any] | None]] = []
    """Random changes of every training window, one after another, each a view of `genocontrast.encoders.views` by its
    name and parameters, such as {mutation: {rate: 0.05}}."""
    pretraining: PretrainingConfig = PretrainingConfig()
    curriculum: list[Lesson] = []
    """Easier decoys to train on before the matched ones, in this order: tiers of `negatives.tiers`; or pool, which is
    all promoters of the training split against all candidate decoys, also those that no match was found for."""
    curriculum_epochs: int = Field(5, ge=1)
    """Largest number of passes over the pairs of each of them."""
    max_shift: int = Field(20, ge=0)
    """Training windows move by up to this many bp in either direction, both classes alike."""
    mined_rounds: int = Field(0, ge=0, le=3)
    """Further rounds of training on what the model before confuses with promoters: decoys chosen anew, nearest in
    embedding, within the same covariate limits."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    processes: int = Field(1, ge=1)
    """Processes on each node that train together, each with its share of every batch; on CUDA, one for each device.
    Their number changes the model as another seed does."""
    nodes: int = Field(1, ge=1)
    """Nodes of a Slurm job that train together, with so many processes each."""

    @model_validator(mode="after")
    def _processes_can_share(self) -> Self:
        """What one batch of several processes does not bear, or would not have as one process has it."""
        together, pretrains = self.processes * self.nodes, self.pretraining.windows != "none"
        if together == 1:
            return self
        for name, batch in (("batch_pairs", self.batch_pairs), ("pretraining.batch", self.pretraining.batch)):
            if batch < together and (pretrains or name == "batch_pairs"):
                raise ValueError(
                    f"{name} is {batch}, which {together} processes (processes x nodes) cannot share: raise it, or "
                    "lower processes or nodes"
                )
        if self.harmony != "sum":
            raise ValueError(
                f"harmony {self.harmony} is not made for several processes, of which each would see the conflicts of "
                "its own share: set harmony to sum, or processes and nodes to 1"
            )
        if pretrains and self.pretraining.queue:
            raise ValueError(
                "pretraining.queue is for small batches, and several processes make large ones: set it to 0, or "
                "processes and nodes to 1"
            )
        return self

    @model_validator(mode="after")
    def _kmers_are_strand_tied(self) -> Self:
        if self.encoder == "kmers" and self.strand != "tied":
            raise ValueError(
                f"a k-mer encoder treats both strands alike, strand {self.strand} has no meaning for it: set strand to "
                "tied, or encoder to convolution"
            )
        return self


class EvaluationConfig(Section):
    """Metrics, baselines, audits and motifs on the held-out chromosomes."""

    bootstraps: int = Field(1000, ge=100)
    """Bootstrap resamples of blocks of pairs for the intervals."""
    bootstrap_block: int = Field(100_000, ge=1)
    """Length of these blocks, bp: pairs whose promoters lie in one stretch of a chromosome are alike, and are drawn
    together. Where fewer than 30 blocks hold test promoters, it is halved until there are as many."""
    prevalence: float = Field(0.01, gt=0, lt=1)
    """Share of promoters among the windows of a scan, for which precision and AUPRC are given, too: a genome does not
    hold a promoter for each other window."""
    motif_database: FilePath | None = None
    """Motifs (MEME or JASPAR format) to name the learned ones by; default: the set shipped with the package."""
    motifs: int = Field(24, ge=1)
    """Largest number of motifs in the report."""
    truth: FilePath | None = None
    """Planted truth of a simulated genome (the oracle's log likelihood ratio for each element), if there is one."""
    kmer_space: bool = True
    """Measure whether k-mers of one motif are near each other among the k-mer vectors (k <= 7). This counts the
    training sequence anew, and fits vectors to a window without overlapping k-mers."""
    binding_sites: dict[str, FilePath] = {}
    """Measured binding sites (ChIP-exo and the like) by factor, BED or narrowPeak: their k-mers are measured, too."""
    scan: bool = True
    """Scan the test split from end to end, as a user of the model would, and compare its calls with the TSSs."""
    scan_stride: int | None = Field(None, ge=1)
    """Step between the windows of the scan, bp, at most their width; null: a fifth of the width. Smaller steps find the
    best window more exactly and take longer in proportion."""
    shortcut_audit: bool = True
    """Train the model on each easier tier of decoys as well (random, gc and open, of those in `negatives.tiers`), and
    test each model on every tier: what was learned, and what only looks like it."""
    shortcut_epochs: int | None = Field(None, ge=1)
    """Largest number of passes in these further trainings; null: as many as `training.epochs`."""
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = []
    """Further seeds to train the model with, which show how much of its figures is chance; each takes as long as the
    training itself, and nothing else is computed with these models."""


_SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class PredictionConfig(Section):
    """Regions and sequences of your own to score with this data set's model."""

    regions: dict[_SetName, FilePath] = {}
    """By name, a BED, narrowPeak, GFF3 or GTF file on this genome, or a FASTA file (.fa, .fasta, .fna) of any
    sequences; the scores of each go to results/<name>/predictions/<its name>/."""
    prevalence: float | None = Field(None, gt=0, lt=1)
    """Share of promoters among what is scored, which its probabilities are for; null: one half, as in training."""


class ReportConfig(Section):
    """The HTML report."""

    title: str = "Promoter model report"
    """Heading of the report."""
    projection: Literal["pca", "umap"] = "pca"
    """Flat view of the embedding. UMAP needs `pip install genocontrast[umap]` and minutes for its first import."""


class Download(Section):
    """Where an input comes from, if it is not there, and its checksum: `sha256` or `md5`, one of them."""

    url: str = Field(pattern=r"^https?://\S+$")
    """Address of the file, http or https."""
    sha256: str | None = Field(None, pattern=r"^([0-9a-f]{64})?$")
    """SHA-256 of its bytes as they are served; a file with another one is refused."""
    md5: str | None = Field(None, pattern=r"^([0-9a-f]{32})?$")
    """MD5 of its bytes as they are served, for archives that publish nothing else, such as ENCODE and UCSC."""

    @property
    def checksum(self) -> tuple[Checksum, str]:
        """Its kind and its value."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5 or "")

    @model_validator(mode="after")
    def _one_checksum(self) -> Self:
        name = self.url.rsplit("/", 1)[-1]
        accession = re.match("ENCFF[0-9A-Z]{6}", name)
        if not self.sha256 and not self.md5:
            raise ValueError(
                f"{name} has no checksum: fill in `sha256`, or the `md5` that its archive publishes (ENCODE: `md5sum` "
                f"of https://www.encodeproject.org/files/{accession[0] if accession else 'ACCESSION'}/?format=json; "
                "UCSC: md5sum.txt and GENCODE: MD5SUMS, beside the file)"
            )
        if self.sha256 and self.md5:
            raise ValueError(f"{name} has two checksums: keep one, `sha256` rather than `md5`")
        return self


class Config(Section):
    """The whole configuration of one data set."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the data set; results go to results/<name>/."""
    seed: int = Field(1, ge=0, lt=2**32)
    """Seed of everything random."""
    genome: GenomeConfig
    negatives: NegativesConfig = NegativesConfig()
    kmers: KmersConfig = KmersConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    prediction: PredictionConfig = PredictionConfig()
    report: ReportConfig = ReportConfig()
    downloads: dict[FilePath, Download] = {}
    """Inputs to fetch before a run, by the path at which the other settings name them: `{url: ..., sha256: ...}`, or
    with `md5` instead."""

    @property
    def shortcut_tiers(self) -> list[Tier]:
        """Tiers that a further model is trained on, the easiest first."""
        wanted = self.negatives.tiers if self.evaluation.shortcut_audit else []
        return [tier for tier in AUDITED_TIERS if tier in wanted]

    @model_validator(mode="after")
    def _scan_leaves_no_gap(self) -> Self:
        stride, width = self.evaluation.scan_stride, self.genome.width
        if stride is not None and stride > width:
            raise ValueError(
                f"evaluation.scan_stride is {stride} bp and a window {width} bp: the scan would leave gaps; set it to "
                f"{width} or less"
            )
        return self

    @model_validator(mode="after")
    def _mining_keeps_the_balance(self) -> Self:
        if self.training.mined_rounds and (self.negatives.method == "cardinality" or self.negatives.permute_labels):
            raise ValueError(
                "training.mined_rounds chooses decoys anew within negatives.caliper: that undoes the balance of "
                "negatives.method cardinality, and the control of negatives.permute_labels; set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _encoder_reads_neighbours(self) -> Self:
        if self.training.encoder == "kmers" and self.kmers.spaced is not None:
            raise ValueError(
                f"training.encoder kmers reads contiguous k-mers, kmers.spaced is {self.kmers.spaced}: remove it, or "
                "set training.encoder to convolution"
            )
        return self

    @model_validator(mode="after")
    def _shifted_windows_stay_apart(self) -> Self:
        splits, reach = self.genome.splits, 2 * self.training.max_shift
        if splits.by == "block" and splits.gap < reach:
            raise ValueError(
                f"genome.splits.gap is {splits.gap} bp, so windows that move by training.max_shift "
                f"({self.training.max_shift} bp) may overlap those of another split: it must be {reach} bp or more"
            )
        return self


def _explain(first: ErrorDetails, known: type[Section]) -> tuple[str, object, str]:
    """One sentence, the value and the remedy for a problem that pydantic found."""
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section: type[Section] | None = known
        for part in first["loc"][:-1]:
            field = section.model_fields.get(str(part)) if section else None
            section = _inner_section(field.annotation) if field else section
        names = ", ".join(sorted(section.model_fields)) if section else ""
        return f"unknown key '{key}'", None, f"remove it or correct its name; known here: {names}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing", None, "add it; config/README.md explains each key"
    value = first.get("input")
    message = first["msg"].removeprefix("Value error, ")
    problem = f"'{key}': {message}" if key else message
    return problem, value if isinstance(value, str | int | float) else None, "see config/README.md"


def _line(path: str | Path | None, keys: tuple[int | str, ...]) -> int | None:
    """Line of a key in a YAML or JSON file: of the innermost of `keys` that stands there."""
    import yaml

    if path is None or not Path(path).is_file():
        return None
    node, line = yaml.compose(Path(path).read_text()), None
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            node = node.value[key]
            line = node.start_mark.line + 1
            continue
        found = [pair for pair in node.value if pair[0].value == key] if isinstance(node, yaml.MappingNode) else []
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line


def parse_config(values: Mapping[str, Any], path: str | Path | None = None) -> Config:
    """Check a mapping against the configuration model.

    Raises
    ------
    ConfigError
        Naming the file (where `path` is given), the key, the value and the remedy.
    """
    return parse_section(Config, values, path)


def parse_section(section: type[_S], values: Mapping[str, Any], path: str | Path | None = None) -> _S:
    """Check a mapping against one section of the model, as `parse_config` does against all of it."""
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        # a misspelt key is also a missing one: say the first
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        problem, value, remedy = _explain(first, section)
        line = _line(path, first["loc"])
        raise ConfigError(problem, path=path, line=line, value=value, remedy=remedy) from None


def load_config(path: str | Path) -> Config:
    """Read a configuration from YAML or JSON; a ConfigError names what is wrong with it."""
    return parse_config(read_mapping(path), path)


class TableConfig(Section):
    """What a table of sequences needs of a configuration: there is no genome."""

    seed: int = Field(Config.model_fields["seed"].default, ge=0, lt=2**32)
    training: TrainingConfig = TrainingConfig()

    def changed(self, seed: int | None, epochs: int | None) -> TableConfig:
        """The same with another seed or number of epochs, where they are given."""
        training = self.training if epochs is None else self.training.model_copy(update={"epochs": epochs})
        return TableConfig(seed=self.seed if seed is None else seed, training=training)


def load_table_config(path: str | Path) -> TableConfig:
    """Read seed and training from a configuration, of which other sections may be there or not; see `load_config`."""
    values = read_mapping(path)
    other = set(Config.model_fields) - set(TableConfig.model_fields)
    return parse_section(TableConfig, {key: value for key, value in values.items() if key not in other}, path)


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The keys and values of a YAML or JSON file."""
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the configuration cannot be read: {error.strerror}", path=path) from None
    except UnicodeDecodeError:
        raise ConfigError("the configuration is not UTF-8 text", path=path, remedy="save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError("not YAML", path=path, line=mark.line + 1 if mark else None) from None
    except ValueError as error:
        # YAML reads 2024-13-45 as a date.
        raise ConfigError(f"not YAML: {error}", path=path, remedy="put text in quotes") from None
    if not isinstance(values, dict):
        raise ConfigError("the configuration must be a mapping of keys to values", path=path)
    return values


def json_schema() -> dict[str, Any]:
    """The closed JSON schema that Snakemake validates a configuration against."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def markdown() -> str:
    """Every setting with its default and meaning, as Markdown tables (the body of config/README.md)."""
    return "\n".join(_markdown_section("", Config)).strip() + "\n"


def _markdown_section(prefix: str, section: type[Section]) -> list[str]:
    title = f"`{prefix.rstrip('.')}`" if prefix else "Top level"
    lines = [f"## {title}", "", section.__doc__ or "", "", "| key | default | meaning |", "| --- | --- | --- |"]
    nested: list[str] = []
    for name, field in section.model_fields.items():
        inner = _inner_section(field.annotation)
        if inner is not None:
            nested += _markdown_section(f"{prefix}{name}.", inner)
        if field.is_required():
            default = "required"
        elif inner is not None:
            default = "see below"
        else:
            default = f"`{json.dumps(field.get_default(call_default_factory=True))}`"
        meaning = (field.description or f"See `{prefix}{name}` below.").replace("\n", " ")
        choices = [f"`{choice}`" for choice in _choices(field.annotation)]
        if choices and not all(choice in meaning for choice in choices):
            meaning += f" One of {', '.join(choices)}."
        lines.append(f"| `{name}` | {default} | {meaning} |")
    return [*lines, "", *nested]


def _choices(annotation: Any) -> list[Any]:
    """What a field, or each entry of one that holds several, may be, where that is a list of words."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return list(dict.fromkeys(choice for part in get_args(annotation) for choice in _choices(part)))


def _inner_section(annotation: Any) -> type[Section] | None:
    """The section that a field holds: directly, optionally or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner_section(part))), None)
