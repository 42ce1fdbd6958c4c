"""Matched decoys."""


rule negatives:
    input:
        genome=rules.genome.output,
        fasta=SETTINGS.genome.fasta,
        signal=SETTINGS.genome.signal,
        tracks=list(SETTINGS.negatives.tracks.values()),
        exact=[path for path in SETTINGS.negatives.exact if path != "chrom"],
    output:
        multiext(
            f"{RESULTS}/negatives/",
            "examples.parquet",
            "examples.bed",
            "dropped.parquet",
            "pool.parquet",
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
        results=results_folder,
    message:
        "Matching decoys to promoters"
    shell:
        "genocontrast negatives run --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"
