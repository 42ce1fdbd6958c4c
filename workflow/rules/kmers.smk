"""Strand-tied k-mer vectors."""


rule kmers:
    input:
        genome="results/{dataset}/genome/genome.json",
        files=of(lambda settings: files(settings, "kmers")),
    output:
        multiext(
            "results/{dataset}/kmers/",
            "kmers.h5ad",
            "kmers.word2vec.txt",
            "kmers.json",
        ),
    log:
        "results/{dataset}/logs/kmers.log",
    benchmark:
        "results/{dataset}/benchmarks/kmers.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        # what the settings allow, and the interpreter with its libraries
        mem_mb=lambda wildcards, attempt: attempt
        * (2000 + int(1024 * DATASETS[wildcards.dataset].kmers.memory)),
        runtime=growing(60),
    params:
        settings=section("seed", "kmers"),
        config=configuration,
        results=results_folder,
    message:
        "Fitting k-mer vectors"
    shell:
        "genocontrast kmers run"
        " --config {params.config:q} --results {params.results:q} 2>&1 | tee {log:q}"
