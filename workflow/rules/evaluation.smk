"""Metrics, baselines, audits, embeddings and motifs on held-out chromosomes."""

EVALUATED = multiext(
    "results/{dataset}/evaluation/",
    "metrics.json",
    "predictions.parquet",
    "predictions.bed",
    "errors.json",
    "embeddings.h5ad",
    "attributions.npz",
    "motifs.json",
    "motifs.meme",
    "kmer_space.json",
    "shortcut.json",
    "scan.json",
)
SCANNED = multiext("results/{dataset}/evaluation/scan.", "bed", "bw")


rule evaluation:
    input:
        model=rules.training.output,
        tiers=every(rules.training_tier, tier=lambda settings: settings.shortcut_tiers),
        seeds=every(
            rules.training_seed, seed=lambda settings: settings.evaluation.seeds
        ),
        examples="results/{dataset}/negatives/examples.parquet",
        dropped="results/{dataset}/negatives/dropped.parquet",
        genome=rules.genome.output,
        kmers="results/{dataset}/kmers/kmers.h5ad",
        files=of(lambda settings: files(settings, "evaluation")),
    output:
        EVALUATED,
        SCANNED,
    log:
        "results/{dataset}/logs/evaluation.log",
    benchmark:
        "results/{dataset}/benchmarks/evaluation.tsv"
    wildcard_constraints:
        dataset=only(name for name in DATASETS if DATASETS[name].evaluation.scan),
    conda:
        "../envs/genocontrast.yaml"
    threads: 2
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
    params:
        settings=section("seed", "evaluation", "kmers"),
        config=configuration,
        results=results_folder,
    message:
        "Evaluating on held-out chromosomes"
    shell:
        "OMP_NUM_THREADS={threads} genocontrast evaluation run"
        " --config {params.config:q} --results {params.results:q} 2>&1 | tee {log:q}"


# a genome that is not scanned has no tracks of it
use rule evaluation as evaluation_without_scan with:
    output:
        EVALUATED,
    wildcard_constraints:
        dataset=only(name for name in DATASETS if not DATASETS[name].evaluation.scan),
