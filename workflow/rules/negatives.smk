"""Matched decoys."""


rule negatives:
    input:
        genome=rules.genome.output,
        files=of(lambda settings: files(settings, "negatives")),
    output:
        multiext(
            "results/{dataset}/negatives/",
            "examples.parquet",
            "examples.bed",
            "dropped.parquet",
            "pool.parquet",
            "balance.json",
        ),
    log:
        "results/{dataset}/logs/negatives.log",
    benchmark:
        "results/{dataset}/benchmarks/negatives.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=section("seed", "negatives"),
        config=configuration,
        results=results_folder,
    message:
        "Matching decoys to promoters"
    shell:
        "genocontrast negatives run"
        " --config {params.config:q} --results {params.results:q} 2>&1 | tee {log:q}"
