"""Methods text to paste into a manuscript, written from the configuration, with its references."""

from __future__ import annotations

from genocontrast.config import SPLITS, Config, SplitsConfig
from genocontrast.genome.splits import Splits
from genocontrast.report.results import Results
from genocontrast.report.wording import covariate, integer, listing, number, percent, plural
from genocontrast.version import __version__

REFERENCES = {
    "cpg": "Gardiner-Garden M, Frommer M. CpG islands in vertebrate genomes. J Mol Biol 196:261\u2013282 (1987).",
    "smd": "Austin PC. Balance diagnostics for comparing the distribution of baseline covariates between treatment "
    "groups in propensity-score matched samples. Stat Med 28:3083\u20133107 (2009).",
    "two_sample": "Lopez-Paz D, Oquab M. Revisiting classifier two-sample tests. ICLR (2017).",
    "strand": "Zhou H, Shrikumar A, Kundaje A. Towards a better understanding of reverse-complement equivariance for "
    "deep learning models in genomics. Proc Mach Learn Res 165:1\u201333 (2022).",
    "infonce": "van den Oord A, Li Y, Vinyals O. Representation learning with contrastive predictive coding. "
    "arXiv:1807.03748 (2018).",
    "adamw": "Loshchilov I, Hutter F. Decoupled weight decay regularization. ICLR (2019).",
    "mcc": "Matthews BW. Comparison of the predicted and observed secondary structure of T4 phage lysozyme. Biochim "
    "Biophys Acta 405:442\u2013451 (1975).",
    "bootstrap": "Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall (1993).",
    "sgns": "Mikolov T, Sutskever I, Chen K, Corrado G, Dean J. Distributed representations of words and phrases and "
    "their compositionality. NeurIPS (2013).",
    "logos": "Schneider TD, Stephens RM. Sequence logos: a new way to display consensus sequences. Nucleic Acids Res "
    "18:6097\u20136100 (1990).",
    "logomaker": "Tareen A, Kinney JB. Logomaker: beautiful sequence logos in Python. Bioinformatics 36:2272\u20132274 "
    "(2020).",
}


class Citations:
    """Numbers references in the order of their first mention."""

    def __init__(self) -> None:
        self.cited: list[str] = []

    def __call__(self, *keys: str) -> str:
        """The bracketed numbers of references."""
        self.cited += [key for key in keys if key not in self.cited]
        return "[" + ",".join(str(self.cited.index(key) + 1) for key in keys) + "]"

    @property
    def references(self) -> list[str]:
        """The references cited so far, in their order."""
        return [REFERENCES[key] for key in self.cited]


def methods(results: Results, config: Config) -> tuple[list[str], list[str]]:
    """Paragraphs of the methods text, and the references that they cite by number."""
    cite = Citations()
    splits = results.splits
    paragraphs = [
        _examples(results, config, splits),
        _decoys(results, config, cite, splits.unit),
        _model(config, cite),
        _evaluation(config, cite, splits.unit),
    ]
    if results.kmers is not None:
        paragraphs.append(_kmers(config, cite, splits.unit))
    if results.motifs is not None:
        paragraphs.append(_motifs(results, cite))
    paragraphs.append(f"All steps were run with genocontrast {__version__}, seed {config.seed}.")
    return paragraphs, cite.references


def _examples(results: Results, config: Config, splits: Splits) -> str:
    genome = config.genome
    return (
        f"Promoters were windows from {integer(genome.upstream)} bp upstream to {integer(genome.downstream)} bp "
        f"downstream of annotated transcription start sites ({integer(genome.width)} bp). Those with an accessibility, "
        f"log(1 + total signal), below {config.negatives.min_accessibility:g} and those that overlap a more accessible "
        f"one were left out. {_assignment(genome.splits, splits, results.genome['splits'].get('sealed'))}; everything "
        f"that was fitted saw the training {splits.unit} only, the validation {splits.unit} served to choose among "
        f"models, and the test {splits.unit} to measure the one chosen."
    )


def _assignment(settings: SplitsConfig, splits: Splits, sealed: list[str] | None) -> str:
    """How the genome was shared out, and what each split holds."""
    held = [f"{name}: {splits.describe(name)}" for name in SPLITS]
    if sealed:
        held.append(f"sealed: {listing(sealed, limit=12)}")
    what = "Whole chromosomes" if splits.whole else f"Blocks of at least {integer(settings.block)} bp"
    fold = f" as fold {settings.fold + 1} of {settings.folds}" if settings.folds else ""
    gap = (
        ""
        if splits.whole
        else f", {integer(settings.gap)} bp being left out between neighbouring blocks of different splits"
    )
    return f"{what} were assigned to splits{fold} ({'; '.join(held)}){gap}"


def _decoys(results: Results, config: Config, cite: Citations, unit: str) -> str:
    settings, balance = config.negatives, results.balance
    names = listing([covariate(name) for name in settings.covariates])
    source = "summits of open chromatin" if settings.candidates == "summits" else "tiles of the genome"
    ratio = f" (CpG ratio: observed over expected {cite('cpg')})" if "cpg" in settings.covariates else ""
    return (
        f"Decoys were drawn from {source} that lie at least {integer(settings.tss_buffer)} bp from every annotated "
        "start site and outside all other evidence of promoters, with no more than "
        f"{percent(config.genome.max_n_fraction)} uncalled bases and the same least accessibility as promoters; of "
        "windows that overlap, the one whose covariates are most like a promoter's was kept. Windows of the "
        f"validation and test {unit} that nearly repeat a training window were left out. Within each split every "
        "promoter was paired with one decoy, without replacement, by an assignment of least total Euclidean distance "
        f"in {names}{ratio}, each in standard deviations of the training promoters, with a caliper of "
        f"{number(settings.caliper, 2)} that is also the cost of leaving a promoter out; promoters without a decoy "
        f"were left out ({percent(balance['retention'], 1)} were retained). Balance was judged by standardised mean "
        f"differences {cite('smd')} (at most {number(settings.max_smd, 2)}) and by a classifier two-sample test on the "
        f"covariates {cite('two_sample')} (AUROC {number(balance['two_sample']['auroc'])})."
    )


def _model(config: Config, cite: Citations) -> str:
    training = config.training
    strand = {
        "tied": "whose filters are tied in pairs of reverse complements",
        "twin": "applied to both strands and averaged",
        "free": "on the given strand only",
    }[training.strand]
    same = "" if training.strand == "free" else f", so that either strand has the same embedding {cite('strand')},"
    return (
        f"A convolutional encoder ({training.width} channels, {plural(training.depth, 'residual block')}, embeddings "
        f"of {training.dim} dimensions) {strand}{same} was trained on a classification loss plus "
        f"{number(training.contrastive_weight, 2)} times InfoNCE {cite('infonce')} at temperature "
        f"{number(training.temperature, 2)} (promoters as one class, the batch's decoys as negatives, a promoter's own "
        f"decoy twice) plus {number(training.surrogate_weight, 2)} times the loss of telling windows from random "
        f"sequences of their own dinucleotide composition, with AdamW {cite('adamw')} (learning rate "
        f"{training.learning_rate:g}, "
        f"weight decay {training.weight_decay:g}), batches of {training.batch_pairs} pairs, dropout "
        f"{training.dropout:g} and random shifts of up to {training.max_shift} bp for both classes, for at most "
        f"{plural(training.epochs, 'epoch')}; training stopped after {plural(training.patience, 'epoch')} without a "
        "better validation loss."
    )


def _evaluation(config: Config, cite: Citations, unit: str) -> str:
    return (
        f"On the test {unit} we report the areas under the ROC and the precision-recall curve and Matthews' "
        f"correlation {cite('mcc')}, each with a 95 % percentile interval from {integer(config.evaluation.bootstraps)} "
        f"bootstrap resamples of pairs {cite('bootstrap')}. Baselines (logistic regression on single covariates, on "
        "all covariates and on 4-mer frequencies) were fitted on the same training pairs, tuned on the validation "
        "pairs, and compared with the model in the same resamples. Each test window was scored on both strands. A test "
        "window leaks where it overlaps a training window, or where a single training window holds half of its "
        "canonical 12-mers, on either strand."
    )


def _kmers(config: Config, cite: Citations, unit: str) -> str:
    kmers = config.kmers
    return (
        f"Vectors of {kmers.dim} dimensions for canonical {kmers.k}-mers were fitted to the co-occurrences on the "
        f"training {unit} by the expected loss of skip-gram with negative sampling {cite('sgns')} (window "
        f"{kmers.window}, {kmers.negatives:g} negative samples), a k-mer and its reverse complement sharing one vector."
    )


def _motifs(results: Results, cite: Citations) -> str:
    database = (results.motifs or {}).get("database") or {}
    named = f" and named by their best match in {database['file']}" if database.get("file") else ""
    return (
        "Motifs were found as clusters of subsequences with high attribution in test promoters, aligned into "
        f"probability matrices{named}. Logos show information content in bits {cite('logos')}, drawn with Logomaker "
        f"{cite('logomaker')}."
    )
