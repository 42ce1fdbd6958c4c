"""Matched decoys."""


rule negatives:
    input:
        config=ancient(f"{RESULTS}/config.json"),
        genome=rules.genome.output,
        fasta=SETTINGS.genome.fasta,
        signal=SETTINGS.genome.signal,
    output:
        multiext(
            f"{RESULTS}/negatives/",
            "examples.parquet",
            "examples.bed",
            "dropped.parquet",
            "balance.json",
        ),
    log:
        f"{RESULTS}/logs/negatives.log",
    benchmark:
        f"{RESULTS}/benchmarks/negatives.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=section("seed", "negatives"),
        results=lambda wildcards, input: os.path.dirname(input.config),
    shell:
        "genocontrast negatives run --config {input.config:q} --results {params.results:q} 2>&1 | tee {log:q}"
