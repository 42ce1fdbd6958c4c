"""A small, consistent set of results as the earlier stages write them, without running any of them."""

import anndata
import numpy as np
import pandas as pd
import pytest

from genocontrast.artefacts import write_json, write_parquet
from genocontrast.config import parse_config
from genocontrast.examples import sort_examples
from genocontrast.report import write_report
from genocontrast.sequence import canonical_table, kmer_name

PAIRS = {"train": 240, "validation": 60, "test": 90}
CHROMS = {"train": ["chr1", "chr2"], "validation": ["chr3"], "test": ["chr4", "chr5"]}
SUM = "0123456789abcdef" * 4


def interval(value, width=0.02):
    return {"value": value, "low": value - width, "high": value + width}


def assessed(name, auroc, gain):
    figures = {"auroc": interval(auroc), "auprc": interval(auroc - 0.01), "mcc": interval(2 * auroc - 1.2)}
    return {"name": name, **figures, "difference": interval(gain)}


def calibration(shift):
    """A reliability curve that lies off the diagonal by `shift`."""
    places = np.linspace(0.05, 0.95, 10)
    bins = [
        {"predicted": p, "observed": min(max(p + shift, 0), 1), "low": max(p + shift - 0.1, 0), "count": 18}
        for p in places.round(4).tolist()
    ]
    curve = [{**each, "high": min(each["observed"] + 0.1, 1)} for each in bins]
    return {"log_loss": interval(0.4 + shift), "brier": interval(0.12 + shift), "ece": shift, "curve": curve}


def make_probes():
    recall = [{"k": k, "chance": k / 180, **interval(value)} for k, value in ((1, 0.71), (10, 0.93))]
    return {
        "linear": {**assessed("", 0.905, 0)},
        "knn": {**assessed("", 0.87, 0), "neighbours": 21},
        "retrieval": {"k": 10, "prevalence": 0.497, **interval(0.82)},
        "locus": {"shift": 20, "windows": 180, "recall": recall},
        **{"alignment": 0.113, "uniformity": -1.874, "strand_cosine": 1.0},
    }


def curve(power, rising):
    x = np.linspace(0, 1, 60)
    y = x**power if rising else 1 - 0.5 * x ** (1 / power)
    return {"x": x.round(4).tolist(), "y": y.round(4).tolist()}


def make_leakage(near=0):
    """180 test windows, of which so many decoys nearly repeat a training window."""
    none = dict.fromkeys(("overlapping", "overlapping_same_class", "exact_repeats", "exact_repeats_same_class"), 0)
    classes = {"positive": (90, 0), "negative": (90, near), "all": (180, near)}
    return {
        **{"windows": 180, "overlapping": 0, "exact_repeats": 0, "near_duplicates": near, "word": 12},
        "by_class": [
            {"class": name, "windows": windows, **none, "near_duplicates": count, "leaking": count}
            for name, (windows, count) in classes.items()
        ],
        **{"containment": 0.5, "passed": near == 0, "reason": f"of 180 test windows {near} nearly repeat one"},
    }


@pytest.fixture(name="make_leakage")
def leakage_maker():
    return make_leakage


def make_metrics():
    baselines = [
        ("GC only", 0.55),
        ("CpG only", 0.53),
        ("accessibility only", 0.51),
        ("covariates", 0.58),
        ("4-mer", 0.84),
    ]
    powers = {"model": 0.12, "4-mer": 0.25, "GC only": 0.8}
    return {
        "provenance": {},
        "splits": {split: {"promoters": n, "decoys": n} for split, n in PAIRS.items()},
        "test": {
            "pairs": 90,
            "blocks": 42,
            "block": 25_000,
            "expected": {"prevalence": 0.01, "auprc": interval(0.31), "precision": interval(0.052)},
            "prevalence": 0.5,
            "auroc": interval(0.91),
            "auprc": interval(0.9),
            "mcc": interval(0.66),
        },
        "signal": True,
        "calibration": {
            **{"temperature": 1.7, "fitted_on": "validation", "prevalence": 0.5},
            **{"before": calibration(0.08), "after": calibration(0.03)},
        },
        "probes": make_probes(),
        "baselines": [assessed(name, value, 0.91 - value) for name, value in baselines],
        "oracle": {"auroc": interval(0.96), "share": 0.89},
        "dropped": {
            "promoters": 7,
            "mean_score": 0.614,
            "recall": 0.71,
            "kept_mean_score": 0.683,
            "kept_recall": 0.86,
        },
        "strand": {
            "examples": 180,
            "flips": 0,
            "max_difference": 0.0,
            "max_embedding_distance": 0.0,
            "min_embedding_cosine": 1.0,
            "network": {
                **{"flips": 0, "max_difference": 4e-7, "max_embedding_distance": 7e-7},
                "min_embedding_cosine": 0.99987,
            },
            "threshold": 0.5,
            "points": [[0.1 * step, 0.1 * step] for step in range(11)],
        },
        "leakage": make_leakage(),
        "seeds": {
            "rows": [{"seed": 3, "auroc": 0.91, "auprc": 0.92}, {"seed": 8, "auroc": 0.89, "auprc": 0.9}],
            **{"auroc": {"mean": 0.9, "sd": 0.0141}, "auprc": {"mean": 0.91, "sd": 0.0141}},
        },
        "attention": {"position": [25.0, 75.0, 125.0], "promoters": [0.4, 1.9, 0.7], "decoys": [0.8, 1.1, 1.1]},
        "per_chromosome": [{"chrom": "chr4", "pairs": 50, "auroc": 0.92}, {"chrom": "chr5", "pairs": 40, "auroc": 0.9}],
        "curves": {
            "roc": {name: curve(power, True) for name, power in powers.items()},
            "pr": {name: curve(power, False) for name, power in powers.items()},
        },
    }


def balance_row(name, before, after, matched):
    return {
        "covariate": name,
        **{"smd_before": before, "smd_after": after, "smd_all": 2 * after},
        **{"ks_before": abs(before) / 3, "ks_after": abs(after) / 2, "ks_all": abs(after)},
        **{"variance_ratio_before": 1.4, "variance_ratio_after": 1.02, "variance_ratio_all": 1.1},
        "matched": matched,
        "passed": abs(after) <= 0.1,
    }


def make_balance():
    """Balance of a run whose unmatched covariate differs, as it may, and whose unused signal shows a difference."""
    pairs = sum(PAIRS.values())
    easier = {tier: {"pairs": pairs, "of": pairs, "removed": {}} for tier in ("gc", "open", "random")}
    return {
        "provenance": {},
        "passed": True,
        "failures": [],
        "retention": 0.93,
        "counts": {
            "promoters": {"closed promoter": 31, "overlaps a more accessible promoter": 12},
            "pool": {"candidate windows": 4100, "TSS +- 500 bp": 1203, "excluded regions": 41, "too many N": 3},
        },
        "table": [
            balance_row("repeat", -0.4, -0.28, False),
            balance_row("gc", 0.9, 0.03, True),
            balance_row("cpg", 0.7, -0.02, True),
            balance_row("accessibility", 1.4, 0.05, True),
        ],
        "two_sample": {"auroc": 0.51, "low": 0.47, "high": 0.55},
        "evidence": [
            {"rule": "TSS +- 500 bp", "touched": 1203, "alone": 240},
            {"rule": "sgd.gff3:gene,tRNA_gene", "touched": 960, "alone": 17},
        ],
        "classes": [{"class": "intergenic", "decoys": 301}, {"class": "gene", "decoys": 89}],
        "splits": {
            split: {"promoters": n, "pool": 5 * n, "decoys": n, "dropped": n // 12, "largest_smd": smd, "of": name}
            for (split, n), (smd, name) in zip(PAIRS.items(), [(0.01, "gc"), (-0.12, "cpg"), (None, None)], strict=True)
        },
        "dropped": {
            "reasons": {"its candidates serve others": 9, "no candidate within the caliper": 23},
            "means": [
                {"covariate": "gc", "dropped": 0.56, "kept": 0.52},
                {"covariate": "accessibility", "dropped": 3.2, "kept": 2.0},
            ],
        },
        "matching": {
            "method": "caliper",
            "scale": {"gc": 0.08, "cpg": 0.2, "accessibility": 0.5, "repeat": 0.1},
            "assignment": {split: {"excess": 0.0, "uncertified": 0} for split in PAIRS},
            "short": 0,
        },
        "tiers": {
            "hard": {"pairs": pairs},
            "nearby": {"pairs": 40, "of": pairs, "removed": {"overlaps a nearer neighbour": 350}},
            **easier,
            "open": {"pairs": 0, "of": pairs, "removed": {}},
        },
        "signal_check": {
            "measured": True,
            "how": "matched on all replicates but atac_2.bw, compared in that one",
            "retention": 0.9,
            **{"smd_before": 1.3, "smd_after": 0.23, "ks_before": 0.4, "ks_after": 0.11},
            **{"variance_ratio_before": 1.3, "variance_ratio_after": 0.9},
        },
        "permuted": False,
    }


def make_genome():
    split_of = {chrom: split for split, chroms in CHROMS.items() for chrom in chroms}
    sizes = {"chr1": 2_100_000, "chr2": 1_900_000, "chr3": 900_000, "chr4": 1_000_000, "chr5": 800_000, "chrM": 16_000}
    inputs = {"fasta": {"file": "genome.fa.gz", "sha256": SUM}, "promoters": {"file": "genes.gtf", "sha256": SUM[::-1]}}
    return {
        "provenance": {"inputs": inputs},
        "sequences": [
            {"chrom": c, "size": size, "gc": 0.41, "n_fraction": 0.0, "masked_fraction": 0.3, "split": split_of.get(c)}
            for c, size in sizes.items()
        ],
        "files": [
            {"role": "promoters", "file": "genes.gtf", "rows": 4021, "kept": 3999, "renamed": {"1": "chr1"}},
            {"role": "signal", "file": "atac.bw", "rows": 6, "kept": 6, "renamed": {}},
        ],
        "counts": {"transcripts": 4021, "duplicate_tss": 22, "outside_chromosome": 1},
        "splits": {**CHROMS, "sealed": []},
        "segments": [
            {"chrom": chrom, "start": 0, "end": sizes[chrom], "split": split} for chrom, split in split_of.items()
        ],
        "plausibility": {
            "gc_at_tss": 0.52,
            "gc_genome": 0.41,
            "signal_at_tss": 3.1,
            "signal_genome": 0.4,
            "peaks_on_promoters": 0.31,
        },
    }


def make_blocks():
    """The genome record of one chromosome in blocks."""
    rows = [("train", 0, 300_000), ("validation", 305_000, 400_000), ("train", 405_000, 700_000)]
    rows += [("test", 705_000, 900_000), ("train", 905_000, 1_000_000)]
    genome = make_genome()
    return {
        **genome,
        "sequences": [{**genome["sequences"][0], "chrom": "chr", "size": 1_000_000, "split": "blocks"}],
        "splits": {**dict.fromkeys(CHROMS, ("chr",)), "sealed": []},
        "segments": [{"chrom": "chr", "start": start, "end": end, "split": split} for split, start, end in rows],
    }


def make_motifs():
    def matrix(consensus):
        rows = np.full((len(consensus), 4), 0.04)
        rows[np.arange(len(consensus)), ["ACGT".index(base) for base in consensus]] = 0.88
        return rows.tolist()

    found = [
        ("TATA-box", "TATAAAAG", 0.93),
        ("SP1", "GGGGCGGGGC", 0.9),
        (None, "CCAATCA", 0.0),
        ("YY1", "AAGATGGCGGC", 0.81),
    ]
    return {
        "provenance": {},
        "database": {"file": "motifs.meme", "motifs": 40, "sha256": SUM},
        "motifs": [
            {
                "id": f"motif-{rank}",
                "name": name,
                "match": {"identifier": "MA1", "name": "F", "family": "Box", "p": 1e-9, "q": 1e-6 if name else 0.4},
                "contribution": score,
                "consensus": consensus,
                "matrix": matrix(consensus),
                "sites": 120 - 20 * rank,
                "effect": 0.2 / rank,
                "promoters_with": 70,
                "decoys_with": 20,
                "enrichment": 2.5 - 0.4 * rank,
                "enrichment_p": 1e-8,
                "enrichment_q": 2e-8,
                "insertion": {"value": 0.4, "low": 0.3, "high": 0.5},
                "own_decoy": {"pairs": 90, "only_promoter": 60, "only_decoy": 9, "p": 0, "q": 0, "difference": 0.5},
                "position": {
                    "edges": list(range(-200, 101, 30)),
                    "promoters": [1, 2, 3, 4, 9, 30, 8, 4, 2, 1],
                    "decoys": [4] * 10,
                    "peak": -35.0,
                    "p": 0.001,
                    "q": 0.004,
                },
            }
            for rank, (name, consensus, score) in enumerate(found, start=1)
        ],
        "cooccurrence": [
            {
                "motifs": ["motif-1", "motif-2"],
                "observed": 30,
                "expected": 21.5,
                "odds_ratio": 1.9,
                "p": 0.01,
                "q": 0.06,
            }
        ],
        "filters": [
            {
                "filter": 7,
                "sites": 230,
                "difference": 0.41,
                "name": None,
                "match": {"identifier": "MA1", "name": "F", "family": None, "p": 0.1, "q": 0.9},
                "matrix": matrix("TATAAAA"),
            }
        ],
        "attribution": {
            **{"method": "integrated gradients", "promoters": 90, "decoys": 90},
            **{"references": 12, "steps": 3, "relative_error": 0.08},
        },
        "truth": {
            "families": [
                {
                    "family": "TATA",
                    "matrix_id": "MA0108.3",
                    "promoters_with": 60,
                    "decoys_with": 9,
                    "p": 1e-9,
                    "contribution_ratio": 2.5,
                    "read": True,
                    "distinguishes": True,
                    "motifs": ["motif-1"],
                }
            ],
            "motifs": [{"id": "motif-1", "families": ["TATA"]}],
            "recall": 1.0,
            "recall_read": 1.0,
            "distinguishing": 1,
            "read": 1,
            "precision": 0.25,
            "overlap": {"of_planted": 0.8, "of_learned": 0.5, "planted_bases": 100, "learned_bases": 160},
        },
        "binding": {
            "promoters": 90,
            "named": 1,
            "factors": [
                {
                    "factor": "Reb1",
                    "matrix": "MA0363.2",
                    "sites": 33,
                    "promoters": 32,
                    "matched": 30,
                    "motifs": ["motif-1"],
                    "fold": {"value": 2.2, "low": 1.7, "high": 2.9},
                }
            ],
        },
    }


def make_history():
    epochs = [
        {
            "epoch": epoch,
            "train_loss": 0.7 * np.exp(-epoch / 8) + 0.2 + 0.1 * (3 - epoch / 20),
            "train_classification": 0.7 * np.exp(-epoch / 8) + 0.2,
            "train_contrastive": 3 - epoch / 20,
            "validation_loss": 0.7 * np.exp(-epoch / 6) + 0.32 + 0.004 * epoch,
            "validation_auroc": 0.9 - 0.4 * np.exp(-epoch / 4),
        }
        for epoch in range(1, 25)
    ]
    return {"provenance": {}, "epochs": epochs, "best_epoch": 15}


def example_rows(rng):
    rows, pair = [], 0
    for split, count in PAIRS.items():
        for i in range(count):
            pair += 1
            chrom = CHROMS[split][i % len(CHROMS[split])]
            gc = float(rng.normal(0.52, 0.06))
            for label in (1, 0):
                start = 1000 * i + 500 * label
                rows.append(
                    {
                        "chrom": chrom,
                        "start": start,
                        "end": start + 300,
                        "name": f"{'promoter' if label else 'decoy'}-{pair}",
                        "strand": "+-"[i % 2],
                        "label": label,
                        "pair_id": pair,
                        "tier": "hard",
                        "split": split,
                        "log_q": 0.0,
                        "evidence": "genes.gtf" if label else "",
                        "gc": gc + float(rng.normal(0, 0.01)),
                        "cpg": float(rng.uniform(0.2, 1.0)),
                        "accessibility": float(rng.gamma(4, 0.5)),
                    }
                )
    hard = pd.DataFrame(rows)
    nearby = hard[hard["split"] == "test"].head(80)
    tiers = [hard, *(_easier(hard, tier) for tier in ("gc", "random")), _easier(nearby, "nearby")]
    return sort_examples(pd.concat(tiers))


def _easier(hard, tier):
    """The same promoters with closed decoys; there are none of the tier `open`."""
    decoy = hard["label"] == 0
    return hard.assign(tier=tier, accessibility=hard["accessibility"].mask(decoy, 0.125))


def space_view(value, p=0.001, gain=None):
    return {
        "auroc": interval(value),
        "p": p,
        "gain": gain,
        "sets": 5,
        "significant": 4,
        "pairs": 90,
        "pairs_without_control": 0,
    }


def make_kmer_space():
    """Figures of two motifs of 4-mers, in the order vectors, rows, letters, vectors without overlap."""
    figures = (
        ("k-mer vectors", 0, (0.8, 0.75, 0.65)),
        ("rows of co-occurrence", 0, (0.81, 0.79, 0.7)),
        ("edit distance", None, (0.7, 0.7, 0.5)),
        ("k-mer vectors", 3, (0.65, 0.6, 0.55)),
    )
    sources = []
    for name, skip, values in figures:
        views = {view: space_view(value) for view, value in zip(("all", "apart", "alike"), values, strict=True)}
        if (name, skip) not in (("k-mer vectors", 0), ("k-mer vectors", 3)):
            views["apart"]["gain"] = interval(0.75 - values[1])
        sources.append({"name": name, "skip": skip, "views": views})
    sources[2]["views"]["all"]["pairs_without_control"] = 1200
    kmers = {"REB1 (MA0363.1)": ["AACC", "ACCC", "CCCG", "AACA", "ACCA", "CCGA"], "CBF1": ["CACG", "ACGA", "AACC"] * 2}
    sets = [
        {"identifier": name, "name": name, "kmers": found, "auroc": {"apart": [rank / 9]}, "p": {"apart": [0.01]}}
        for rank, (name, found) in enumerate(kmers.items(), start=1)
    ]
    counts = {"of": 9, "measured": 5, "too_few_kmers": 3, "repeated": 1}
    truths = {"motifs": {"counts": counts, "sources": sources, "sets": sets}}
    return {"run": True, "k": 4, "permutations": 999, "truths": truths}


def make_shortcut():
    """The model and two baselines of three tiers, each learned best where it was learned; `open` is absent."""
    tiers = ["random", "gc", "hard"]
    figures = [
        {
            "name": name,
            "trained": trained,
            "tested": tested,
            "pairs": 90,
            "auroc": interval(0.95 - 0.1 * rank - 0.05 * abs(i - j) - 0.02 * max(j - i, 0)),
        }
        for rank, name in enumerate(["model", "4-mer", "GC only"])
        for i, trained in enumerate(tiers)
        for j, tested in enumerate(tiers)
    ]
    gains = [{"trained": tier, "difference": interval(gain)} for tier, gain in (("random", 0.14), ("gc", 0.07))]
    return {
        "provenance": {},
        "run": True,
        "tiers": tiers,
        "figures": figures,
        "gains": gains,
        "absent": {"open": "too few pairs (test 3; each split needs 10)"},
        "epochs": {"random": 4, "gc": 4, "hard": 24},
        "lessons_before": [],
    }


def scan_scorer(name, recall, precision, rate, open_chromatin=True):
    part = {"calls": 120, "recall": interval(recall), "precision": interval(precision), "false_positives": 40}
    part |= {"false_positives_per_mb": rate, "loci": 100, "megabases": 1.8}
    steps = np.linspace(0, 1, 20)
    curve = {"threshold": (1 - steps).tolist(), "recall": (recall * steps).tolist()}
    curve |= {"precision": [precision] * 20, "false_positives_per_mb": (rate * steps).tolist()}
    histogram = {"from": [0, 100], "calls": [80, 40]}
    return {
        **part,
        "name": name,
        "threshold": 0.7,
        "false_positives_on_other_evidence": 7,
        "distance": {"median": 61.0, "quantiles": {}, "histogram": histogram, "without_site_on_chromosome": 0},
        "curve": curve,
        "open_chromatin": dict(part, calls=33) if open_chromatin else None,
    }


def make_scan():
    scorers = [scan_scorer("model", 0.6, 0.5, 22.0), scan_scorer("4-mer", 0.5, 0.4, 30.0)]
    scorers.append(scan_scorer("random positions", 0.2, 0.17, 60.0, open_chromatin=False))
    counts = {"stride": 60, "width": 300, "tolerance": 200, "windows": 30_000, "sites": 110, "loci": 100}
    return {"provenance": {}, "run": True, **counts, "megabases": 1.8, "threshold": {}, "scorers": scorers}


def make_errors():
    """Two errors of each class; of the first decoy a TATA box weighs most."""

    def place(name, start, score):
        return {"name": name, "chrom": "chr4", "start": start, "end": start + 60, "strand": "-", "score": score}

    def error(name, start, score, mate):
        track = [0.01 * (-1) ** i for i in range(60)]
        track[20:28] = [0.5] * 8
        return {
            **place(name, start, score),
            "covariates": {"gc": 0.51, "repeat": None},
            "mates": [place(mate, 9000, 1 - score)],
            "nearest_site": 1234,
            "feature": "gene",
            "sequence": "ACGTACGTACGTACGTACGTTATAAAAGACGTACGTACGTACGTACGTACGTACGTACGT",
            "contributions": track,
        }

    return {
        "provenance": {},
        "width": 60,
        "decoys": [error("decoy-7", 1000, 0.98, "promoter-7"), error("decoy-9", 2000, 0.91, "promoter-9")],
        "promoters": [error("promoter-3", 3000, 0.02, "decoy-3"), error("promoter-5", 4000, 0.07, "decoy-5")],
    }


def write_results(folder, vectors=True, chrom=None, **changes):
    """Write results/<name>; a part that is given replaces the standard one, None leaves it out.

    `chrom` is what the examples' chromosome 4 is called.
    """
    rng = np.random.default_rng(7)
    for name, make in PARTS.items():
        part = changes.get(name.split("/")[1].removesuffix(".json"), make())
        if part is not None:
            write_json(folder / name, part)
    examples = example_rows(rng).replace({"chrom": {"chr4": chrom}} if chrom else {})
    write_parquet(folder / "negatives/examples.parquet", examples)
    held_out = examples[(examples["tier"] == "hard") & (examples["split"] != "train")].reset_index(drop=True)
    centre = np.where(held_out["label"] == 1, 0.68, 0.32)
    scored = held_out.assign(score=np.clip(rng.normal(centre, 0.16), 0.001, 0.999))
    write_parquet(folder / "evaluation/predictions.parquet", scored)
    if vectors:
        _write_embeddings(folder / "evaluation/embeddings.h5ad", held_out[held_out["split"] == "test"], rng)
        _write_kmers(folder / "kmers/kmers.h5ad", rng)
    return folder


PARTS = {
    "genome/genome.json": make_genome,
    "negatives/balance.json": make_balance,
    "training/history.json": make_history,
    "evaluation/metrics.json": make_metrics,
    "evaluation/motifs.json": make_motifs,
    "evaluation/errors.json": make_errors,
    "evaluation/kmer_space.json": make_kmer_space,
    "evaluation/shortcut.json": make_shortcut,
    "evaluation/scan.json": make_scan,
}


def _write_embeddings(path, test, rng):
    values = rng.normal(0, 0.3, (len(test), 8)).astype(np.float32)
    values[:, 0] += np.where(test["label"] == 1, 0.6, -0.6)
    values[:, 1] += 6 * (test["gc"] - 0.52)
    rows = test[["chrom", "start", "end", "label", "split", "gc", "accessibility"]].set_axis(test["name"].tolist())
    data = anndata.AnnData(X=values, obs=rows, obsm={"X_pca": values[:, :3]})
    data.uns["pca"] = {"variance_ratio": np.array([0.4, 0.2, 0.1]), "fitted_on": "train"}
    path.parent.mkdir(parents=True, exist_ok=True)
    data.write_h5ad(path)


def _write_kmers(path, rng):
    names = [kmer_name(int(kmer), 4) for kmer in canonical_table(4)[1]]
    gc = np.array([sum(base in "GC" for base in name) / 4 for name in names])
    values = rng.normal(0, 0.2, (len(names), 6)) + np.outer(gc, np.arange(6)) / 4
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"count": 10, "gc": gc}, index=names)
    anndata.AnnData(X=values.astype(np.float32), obs=rows).write_h5ad(path)


def make_config():
    files = {"fasta": "genome.fa.gz", "promoters": "genes.gtf", "signal": ["atac.bw"], "open_chromatin": ["peaks.bed"]}
    return parse_config({"name": "demo", "genome": files})


config = pytest.fixture(make_config)
genome = pytest.fixture(make_genome)
blocks = pytest.fixture(make_blocks)
balance = pytest.fixture(make_balance)
metrics = pytest.fixture(make_metrics)
motifs = pytest.fixture(make_motifs)
errors = pytest.fixture(make_errors)
kmer_space = pytest.fixture(make_kmer_space)
shortcut = pytest.fixture(make_shortcut)
scan = pytest.fixture(make_scan)


@pytest.fixture
def write():
    return write_results


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The report of the standard results; read it, don't write to it."""
    return write_report(write_results(tmp_path_factory.mktemp("standard") / "results" / "demo"), make_config())


EVIL = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>\"&$x_1$"


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory):
    """The report of results in which every name that comes from a file is markup, and long."""
    genome, balance, metrics, motifs = make_genome(), make_balance(), make_metrics(), make_motifs()
    space = make_kmer_space()
    space["truths"]["motifs"]["sets"][0]["name"] = space["truths"]["motifs"]["sources"][1]["name"] = EVIL
    genome["files"][0]["file"] = genome["sequences"][0]["chrom"] = EVIL
    genome["splits"]["train"] = [EVIL]
    genome["segments"][0]["chrom"] = EVIL
    genome["counts"] = {EVIL: 3}
    balance["classes"][0]["class"] = balance["table"][1]["covariate"] = EVIL
    balance["counts"]["pool"] = {EVIL: 1}
    balance["evidence"][0]["rule"] = balance["signal_check"]["how"] = EVIL
    balance["dropped"]["reasons"] = {EVIL: 1}
    balance["tiers"][EVIL] = {"pairs": 0, "of": 1, "removed": {}}
    metrics["baselines"][-1]["name"] = EVIL
    metrics["curves"]["roc"][EVIL] = metrics["curves"]["roc"].pop("4-mer")
    metrics["per_chromosome"][0]["chrom"] = EVIL
    errors = make_errors()
    errors["decoys"][0] |= {"name": EVIL, "chrom": EVIL, "feature": EVIL, "covariates": {EVIL: 1.0}}
    errors["decoys"][0]["mates"][0]["name"] = EVIL
    motifs["motifs"][0]["name"] = motifs["database"]["file"] = EVIL
    parts = {"genome": genome, "balance": balance, "metrics": metrics, "motifs": motifs}
    parts["kmer_space"], parts["errors"] = space, errors
    parts["shortcut"], parts["scan"] = make_shortcut(), make_scan()
    parts["shortcut"]["absent"]["open"] = parts["scan"]["scorers"][1]["name"] = EVIL
    for row in parts["shortcut"]["figures"]:
        row["name"] = EVIL if row["name"] == "4-mer" else row["name"]
    config = make_config()
    titled = config.model_copy(update={"report": config.report.model_copy(update={"title": EVIL})})
    return write_report(write_results(tmp_path_factory.mktemp("hostile") / "demo", chrom=EVIL, **parts), titled)


@pytest.fixture
def evil():
    return EVIL
