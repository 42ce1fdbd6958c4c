"""Metrics, baselines, audits, embeddings and motifs on held-out chromosomes."""


rule evaluation:
    input:
        model=rules.training.output,
        seeds=expand(rules.training_seed.output, seed=SETTINGS.evaluation.seeds),
        examples=f"{RESULTS}/negatives/examples.parquet",
        dropped=f"{RESULTS}/negatives/dropped.parquet",
        genome=rules.genome.output,
        kmers=f"{RESULTS}/kmers/kmers.h5ad",
        fasta=SETTINGS.genome.fasta,
        binding_sites=list(SETTINGS.evaluation.binding_sites.values()),
        truth=[SETTINGS.evaluation.truth] if SETTINGS.evaluation.truth else [],
        motif_database=(
            [SETTINGS.evaluation.motif_database]
            if SETTINGS.evaluation.motif_database
            else []
        ),
    output:
        multiext(
            f"{RESULTS}/evaluation/",
            "metrics.json",
            "predictions.parquet",
            "predictions.bed",
            "errors.json",
            "embeddings.h5ad",
            "attributions.npz",
            "motifs.json",
            "motifs.meme",
            "kmer_space.json",
            "scan.json",
            *(["scan.bed", "scan.bw"] if SETTINGS.evaluation.scan else []),
        ),
    log:
        f"{RESULTS}/logs/evaluation.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluation.tsv"
    conda:
        "../envs/genocontrast.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=120,
    params:
        settings=section("seed", "evaluation", "kmers"),
        results=results_folder,
    message:
        "Evaluating on held-out chromosomes"
    shell:
        "OMP_NUM_THREADS={threads} genocontrast evaluation run"
        " --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"


rule shortcut:
    input:
        model=rules.training.output,
        tiers=expand(rules.training_tier.output, tier=SETTINGS.shortcut_tiers),
        examples=f"{RESULTS}/negatives/examples.parquet",
        kmers=f"{RESULTS}/kmers/kmers.h5ad",
        fasta=SETTINGS.genome.fasta,
    output:
        f"{RESULTS}/evaluation/shortcut.json",
    log:
        f"{RESULTS}/logs/shortcut.log",
    benchmark:
        f"{RESULTS}/benchmarks/shortcut.tsv"
    conda:
        "../envs/genocontrast.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        bootstraps=SETTINGS.evaluation.bootstraps,
        settings=section("seed"),
        results=results_folder,
    message:
        "Testing the models of all tiers of decoys on every tier"
    shell:
        "OMP_NUM_THREADS={threads} genocontrast evaluation shortcut"
        " --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"
