"""Methods text to paste into a manuscript, written from the configuration, with its references."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genocontrast.config import SPLITS, Config, NegativesConfig, SplitsConfig
from genocontrast.evaluation.attribution import MUTAGENESIS
from genocontrast.genome.splits import Splits
from genocontrast.report.methods_training import training_paragraph
from genocontrast.report.results import Results
from genocontrast.report.wording import covariate, integer, listing, number, percent, plural
from genocontrast.version import __version__

REFERENCES = {
    "cpg": "Gardiner-Garden M, Frommer M. CpG islands in vertebrate genomes. J Mol Biol 196:261\u2013282 (1987).",
    "cardinality": "Zubizarreta JR, Paredes RD, Rosenbaum PR. Matching for balance, pairing for heterogeneity in an "
    "observational study of the effectiveness of for-profit and not-for-profit high schools in Chile. Ann Appl Stat "
    "8:204\u2013231 (2014).",
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
    "temperature": "Guo C, Pleiss G, Sun Y, Weinberger KQ. On calibration of modern neural networks. Proc Mach Learn "
    "Res 70:1321\u20131330 (2017).",
    "sgns": "Mikolov T, Sutskever I, Chen K, Corrado G, Dean J. Distributed representations of words and phrases and "
    "their compositionality. NeurIPS (2013).",
    "gradients": "Sundararajan M, Taly A, Yan Q. Axiomatic attribution for deep networks. Proc Mach Learn Res "
    "70:3319\u20133328 (2017).",
    "shuffle": "Altschul SF, Erickson BW. Significance of nucleotide sequence alignments: a method for random sequence "
    "permutation that preserves dinucleotide and codon usage. Mol Biol Evol 2:526\u2013538 (1985).",
    "modisco": "Shrikumar A, Tian K, Avsec \u017d, et al. Technical note on transcription factor motif discovery from "
    "importance scores (TF-MoDISco). arXiv:1811.00416 (2018).",
    "tomtom": "Gupta S, Stamatoyannopoulos JA, Bailey TL, Noble WS. Quantifying similarity between motifs. Genome Biol "
    "8:R24 (2007).",
    "bh": "Benjamini Y, Hochberg Y. Controlling the false discovery rate: a practical and powerful approach to "
    "multiple testing. J R Stat Soc B 57:289\u2013300 (1995).",
    "mcnemar": "McNemar Q. Note on the sampling error of the difference between correlated proportions or percentages. "
    "Psychometrika 12:153\u2013157 (1947).",
    "mantel": "Mantel N, Haenszel W. Statistical aspects of the analysis of data from retrospective studies of "
    "disease. J Natl Cancer Inst 22:719\u2013748 (1959).",
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
        training_paragraph(config, cite),
        _evaluation(results, config, cite, splits.unit),
    ]
    if results.kmers is not None:
        paragraphs.append(_kmers(config, cite, splits.unit) + _space(results))
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
    tiled = f"tiled every {integer(settings.stride)} bp over"
    places = {"summits": "summits of open chromatin", "peaks": f"windows {tiled} open chromatin"}
    places["genome"] = f"windows {tiled} the genome"
    return (
        f"Decoys were drawn from {listing([places[kind] for kind in settings.candidates])} that lie at least "
        f"{integer(settings.tss_buffer)} bp from every annotated start site and outside all other evidence of "
        f"promoters, with no more than {percent(config.genome.max_n_fraction)} uncalled bases and the same least "
        "accessibility as promoters; of windows that overlap, the one whose covariates are most like a promoter's was "
        f"kept. Windows of the validation and test {unit} that nearly repeat a training window were left out. "
        f"{_pairing(settings, balance, cite)} Balance was judged by standardised mean differences {cite('smd')} (at "
        f"most {number(settings.max_smd, 2)}) and by a classifier two-sample test on the covariates "
        f"{cite('two_sample')} (AUROC {number(balance['two_sample']['auroc'])}).{_held_back(balance)}"
    )


def _pairing(settings: NegativesConfig, balance: Mapping[str, Any], cite: Citations) -> str:
    """How promoters were paired with decoys; citations are numbered in the order of the words."""
    how = _matching(settings, balance, cite)
    names = listing([covariate(name) for name in settings.covariates])
    names += f" (CpG ratio: observed over expected {cite('cpg')})" if "cpg" in settings.covariates else ""
    caliper = "" if settings.method == "cardinality" else f", with a caliper of {number(settings.caliper, 2)}"
    if settings.method == "caliper":
        caliper += " that is also the cost of leaving a promoter out"
    decoys = "one decoy" if settings.ratio == 1 else f"up to {settings.ratio} decoys"
    shared = "".join(
        f", within the same {'chromosome' if key == 'chrom' else Path(key).stem}" for key in settings.exact
    )
    return (
        f"Within each split{shared} every promoter was paired with {decoys}, without replacement, {how} in {names}, "
        f"each in standard deviations of the training promoters{caliper}; promoters without a decoy were left out "
        f"({percent(balance['retention'], 1)} were retained)."
    )


def _certified(settings: NegativesConfig, balance: Mapping[str, Any]) -> str:
    """Whether the assignment is the best one of all pairs within the caliper."""
    open_ = sum(split["uncertified"] for split in balance["matching"]["assignment"].values())
    turns = "" if settings.ratio == 1 else ", a first decoy for everybody before a second one"
    if open_:
        return f" among each promoter's nearest candidates ({integer(open_)} had farther ones that could matter{turns})"
    return f" (of all pairs within the caliper{turns})"


def _matching(settings: NegativesConfig, balance: Mapping[str, Any], cite: Citations) -> str:
    if settings.method == "cardinality":
        return (
            "in two steps: as many promoters and candidates as possible were chosen whose means, squares and products "
            f"of the covariates agree within {settings.tolerance:g} standard deviations and whose cumulatives agree "
            f"within {2 * settings.tolerance:g}, before shares of windows were rounded to whole ones (cardinality "
            f"matching {cite('cardinality')}, by linear programming), and these were assigned to one another by least "
            "total Euclidean distance"
        )
    if settings.method == "greedy":
        return (
            "one promoter after the other, those with the fewest candidates first, each with the nearest free one by "
            "Euclidean distance"
        )
    return f"by an assignment of least total Euclidean distance{_certified(settings, balance)}"


def _held_back(balance: Mapping[str, Any]) -> str:
    """The balance in signal that was not matched on."""
    check = balance.get("signal_check") or {"measured": False}
    if not check["measured"]:
        return ""
    return (
        f" The matching was repeated with a part of the signal held back ({check['how']}): there the standardised mean "
        f"difference of accessibility was {number(check['smd_after'], signed=True)}."
    )


def _evaluation(results: Results, config: Config, cite: Citations, unit: str) -> str:
    apart = " Promoters without a decoy were scored apart." if results.metrics["dropped"] else ""
    pooled = any("-mer vectors" in baseline["name"] for baseline in results.metrics["baselines"])
    block = integer(results.metrics["test"]["block"])
    sequence = "on 4-mer frequencies and on pooled k-mer vectors" if pooled else "and on 4-mer frequencies"
    return (
        f"On the test {unit} we report the areas under the ROC and the precision-recall curve and Matthews' "
        f"correlation {cite('mcc')}, each with a 95 % percentile interval from {integer(config.evaluation.bootstraps)} "
        f"bootstrap resamples {cite('bootstrap')} of blocks of pairs (promoters in one stretch of {block} bp are drawn "
        f"together). Logits were divided by a temperature {cite('temperature')} that was fitted on the validation "
        "pairs. Baselines (logistic regression on single covariates, on "
        f"all covariates{',' if pooled else ''} {sequence}) were fitted on the same training pairs, tuned on the "
        "validation pairs, and compared with the model in the same resamples; so were logistic regression and nearest "
        "neighbours on the frozen embeddings. Each test window was scored on both strands. A test window leaks where "
        "it overlaps a training window, or where a single training window holds half of its canonical 12-mers, on "
        "either strand."
        f"{apart}"
    )


def _kmers(config: Config, cite: Citations, unit: str) -> str:
    kmers = config.kmers
    sampled = kmers.objective == "sgns"
    loss = (
        f"skip-gram with negative sampling {cite('sgns')}" if sampled else f"InfoNCE {cite('infonce')} over all k-mers"
    )
    details = [f"window {kmers.window}"]
    if kmers.skip:
        details.append(f"the nearest {plural(kmers.skip, 'position')} left out")
    if kmers.spaced:
        details.append(f"spaced seed {kmers.spaced}")
    if sampled:
        details.append(f"{kmers.negatives:g} negative samples")
    if kmers.log_q:
        details.append("scores corrected for the negatives' frequencies")
    return (
        f"Vectors of {kmers.dim} dimensions for canonical {kmers.k}-mers were fitted to the co-occurrences on the "
        f"training {unit} by the expected loss of {loss} ({', '.join(details)}), a k-mer and its reverse complement "
        "sharing one vector."
    )


def _space(results: Results) -> str:
    """How the k-mer space was measured; nothing where it was not."""
    space = results.kmer_space
    if not space or not space["run"]:
        return ""
    sites = " and of k-mers enriched at measured binding sites" if "sites" in space["truths"] else ""
    return (
        f" Sets of k-mers of known motifs{sites} were compared, pair by pair, with k-mers outside of the set of the "
        "same count of G and C, CpG or none, and like frequency, by cosine similarity, with and without pairs that "
        f"overlap; p-values are from {integer(space['permutations'])} permutations of k-mers within these classes."
    )


def _motifs(results: Results, cite: Citations) -> str:
    motifs = results.motifs or {}
    of, database = motifs["attribution"], motifs["database"]
    how = "the promoter logit less its mean over the four bases at the same place. "
    if of["method"] != MUTAGENESIS:
        how = (
            f"integrated gradients {cite('gradients')} against {of['references']} shuffles of each window that "
            f"keep its dinucleotides {cite('shuffle')}, drawn from the strand that sorts first. "
        )
    text = (
        f"Bases were attributed by {how}Motifs "
        "were found as clusters of subsequences with high attribution in test promoters and their decoys "
        f"{cite('modisco')}, aligned into probability matrices, and named by TOMTOM {cite('tomtom')} in "
        f"{database['file']} (q < 0.05 over its motifs {cite('bh')}). Having a site was compared between promoters and "
        f"decoys by Fisher's exact test, within pairs by McNemar's {cite('mcnemar')}, and between motifs, within "
        f"fifths of GC content, by Mantel and Haenszel's {cite('mantel')}. Logos show information content in bits "
        f"{cite('logos')}, drawn with Logomaker {cite('logomaker')}."
    )
    if motifs["binding"]:
        text += (
            " Attribution within 10 bp of measured binding sites was compared with that of places in the same "
            "promoters, at most 50 bp away, of like GC content and without the factor's motif."
        )
    return text
