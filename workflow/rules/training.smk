"""The promoter encoder."""


rule training:
    input:
        examples="results/{dataset}/negatives/examples.parquet",
        files=of(lambda settings: files(settings, "training")),
        needed=artefacts_for("training"),
    output:
        "results/{dataset}/training/model/config.json",
        "results/{dataset}/training/model/model.safetensors",
        "results/{dataset}/training/history.json",
    log:
        "results/{dataset}/logs/training.log",
    benchmark:
        "results/{dataset}/benchmarks/training.tsv"
    conda:
        "../envs/genocontrast.yaml"
    threads: of(lambda settings: 2 * settings.training.processes)
    resources:
        mem_mb=growing(6000, of(lambda settings: settings.training.processes)),
        runtime=growing(240),
        gpu=of(gpus),
        nodes=over_nodes(lambda nodes: nodes),
        tasks=over_nodes(lambda nodes: nodes),
        tasks_per_gpu=over_nodes(lambda nodes: 0),
        mpi=over_nodes(lambda nodes: "srun"),
    params:
        verb="run",
        settings=section("seed", "training"),
        config=configuration,
        results=results_folder,
    message:
        "Training the promoter encoder"
    shell:
        "OMP_NUM_THREADS={threads} genocontrast training {params.verb}"
        " --config {params.config:q} --results {params.results:q} 2>&1 | tee {log:q}"


# What only differs by its seed: the same inputs and settings, a job each.
use rule training as training_seed with:
    output:
        "results/{dataset}/training/seeds/{seed}/model/config.json",
        "results/{dataset}/training/seeds/{seed}/model/model.safetensors",
        "results/{dataset}/training/seeds/{seed}/history.json",
    log:
        "results/{dataset}/logs/training_seed_{seed}.log",
    benchmark:
        "results/{dataset}/benchmarks/training_seed_{seed}.tsv"
    wildcard_constraints:
        seed=r"\d+",
    params:
        verb="seed --seed {seed}",
        settings=section("training"),
        config=configuration,
        results=results_folder,
    message:
        "Training with seed {wildcards.seed}"


# One job per tier, so that a cluster trains them side by side. What a killed job leaves in checkpoints/ is no output of
# the rule, so that it goes on from there; the model is none either, since a tier of too few pairs has no model.
rule training_tier:
    input:
        examples="results/{dataset}/negatives/examples.parquet",
        files=of(lambda settings: files(settings, "training")),
        needed=artefacts_for("training_tier"),
    output:
        "results/{dataset}/training/tiers/{tier}/history.json",
    log:
        "results/{dataset}/logs/training_{tier}.log",
    benchmark:
        "results/{dataset}/benchmarks/training_{tier}.tsv"
    wildcard_constraints:
        tier=only(AUDITED_TIERS),
    conda:
        "../envs/genocontrast.yaml"
    threads: of(lambda settings: 2 * settings.training.processes)
    resources:
        mem_mb=growing(6000, of(lambda settings: settings.training.processes)),
        runtime=growing(240),
        gpu=of(gpus),
        nodes=over_nodes(lambda nodes: nodes),
        tasks=over_nodes(lambda nodes: nodes),
        tasks_per_gpu=over_nodes(lambda nodes: 0),
        mpi=over_nodes(lambda nodes: "srun"),
    params:
        epochs=of(lambda settings: settings.evaluation.shortcut_epochs),
        settings=section("seed", "training"),
        config=configuration,
        results=results_folder,
    message:
        "Training on the decoys of the tier {wildcards.tier}"
    shell:
        "OMP_NUM_THREADS={threads} genocontrast training tier --tier {wildcards.tier}"
        " --config {params.config:q} --results {params.results:q} 2>&1 | tee {log:q}"
