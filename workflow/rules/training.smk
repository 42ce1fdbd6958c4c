"""The promoter encoder."""


rule training:
    input:
        examples=f"{RESULTS}/negatives/examples.parquet",
        fasta=SETTINGS.genome.fasta,
        # what mining chooses from, and within which limits
        mining=(
            [f"{RESULTS}/negatives/pool.parquet", f"{RESULTS}/negatives/balance.json"]
            if SETTINGS.training.mined_rounds
            else []
        ),
        # all promoters and all candidates
        pool=(
            [
                f"{RESULTS}/negatives/pool.parquet",
                f"{RESULTS}/negatives/dropped.parquet",
            ]
            if "pool" in SETTINGS.training.curriculum
            else []
        ),
        # what may be seen without labels
        pretraining=(
            [
                f"{RESULTS}/genome/genome.json",
                f"{RESULTS}/genome/open_chromatin.parquet",
            ]
            if SETTINGS.training.pretraining.windows != "none"
            else []
        ),
        # what an encoder of k-mers starts with
        kmers=(
            [f"{RESULTS}/kmers/kmers.h5ad"]
            if SETTINGS.training.encoder == "kmers"
            else []
        ),
    output:
        f"{RESULTS}/training/model/config.json",
        f"{RESULTS}/training/model/model.safetensors",
        f"{RESULTS}/training/history.json",
    log:
        f"{RESULTS}/logs/training.log",
    benchmark:
        f"{RESULTS}/benchmarks/training.tsv"
    conda:
        "../envs/genocontrast.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=240,
    params:
        verb="run",
        settings=section("seed", "training"),
        results=results_folder,
    message:
        "Training the promoter encoder"
    shell:
        "OMP_NUM_THREADS={threads} genocontrast training {params.verb}"
        " --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"


# What only differs by its seed: the same inputs and settings, a job each.
use rule training as training_seed with:
    output:
        f"{RESULTS}/training/seeds/{{seed}}/model/config.json",
        f"{RESULTS}/training/seeds/{{seed}}/model/model.safetensors",
        f"{RESULTS}/training/seeds/{{seed}}/history.json",
    log:
        f"{RESULTS}/logs/training_seed_{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_seed_{{seed}}.tsv"
    wildcard_constraints:
        seed=r"\d+",
    params:
        verb="seed --seed {seed}",
        settings=section("training"),
        results=results_folder,
    message:
        "Training with seed {wildcards.seed}"


# One job per tier, so that a cluster trains them side by side. What a killed job leaves in checkpoints/ is no output of
# the rule, so that it goes on from there; the model is none either, since a tier of too few pairs has no model.
rule training_tier:
    input:
        examples=f"{RESULTS}/negatives/examples.parquet",
        fasta=SETTINGS.genome.fasta,
        kmers=(
            [f"{RESULTS}/kmers/kmers.h5ad"]
            if SETTINGS.training.encoder == "kmers"
            else []
        ),
    output:
        f"{RESULTS}/training/tiers/{{tier}}/history.json",
    log:
        f"{RESULTS}/logs/training_{{tier}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_{{tier}}.tsv"
    wildcard_constraints:
        tier="|".join(AUDITED_TIERS),
    conda:
        "../envs/genocontrast.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=240,
    params:
        settings=section("seed", "training"),
        epochs=SETTINGS.evaluation.shortcut_epochs,
        results=results_folder,
    message:
        "Training on the decoys of the tier {wildcards.tier}"
    shell:
        "OMP_NUM_THREADS={threads} genocontrast training tier --tier {wildcards.tier}"
        " --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"
