"""Scores of the user's own regions and sequences."""

SCORED = multiext(
    "results/{dataset}/predictions/{set}/", "scores.tsv", "scores.json", "page.html"
)


rule prediction:
    input:
        model=rules.training.output,
        genome="results/{dataset}/genome/genome.json",
        # the page quotes the verdict
        report=rules.report.output,
        metrics="results/{dataset}/evaluation/metrics.json",
        scored=lambda wildcards: DATASETS[wildcards.dataset].prediction.regions[
            wildcards.set
        ],
        files=of(lambda settings: files(settings, "prediction")),
    output:
        SCORED,
        "results/{dataset}/predictions/{set}/scores.bw",
    log:
        "results/{dataset}/logs/prediction_{set}.log",
    benchmark:
        "results/{dataset}/benchmarks/prediction_{set}.tsv"
    wildcard_constraints:
        set=prediction_sets(False),
    conda:
        "../envs/genocontrast.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=section("name", "prediction"),
        config=configuration,
        results=results_folder,
    message:
        "Scoring {wildcards.set}"
    shell:
        "for stage in evaluation report; do OMP_NUM_THREADS={threads} genocontrast $stage predictions"
        " --set {wildcards.set:q} --config {params.config:q} --results {params.results:q}"
        " || exit; done 2>&1 | tee {log:q}"


# sequences lie nowhere on the genome, so there is no track of them
use rule prediction as prediction_of_sequences with:
    output:
        SCORED,
    wildcard_constraints:
        set=prediction_sets(True),
