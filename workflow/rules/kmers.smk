"""Strand-tied k-mer vectors."""


rule kmers:
    input:
        genome=f"{RESULTS}/genome/genome.json",
        fasta=SETTINGS.genome.fasta,
    output:
        multiext(f"{RESULTS}/kmers/", "kmers.h5ad", "kmers.word2vec.txt", "kmers.json"),
    log:
        f"{RESULTS}/logs/kmers.log",
    benchmark:
        f"{RESULTS}/benchmarks/kmers.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        # what the settings allow, and the interpreter with its libraries
        mem_mb=2000 + int(1024 * SETTINGS.kmers.memory),
        runtime=60,
    params:
        settings=section("seed", "kmers"),
        results=results_folder,
    message:
        "Fitting k-mer vectors"
    shell:
        "genocontrast kmers run --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"
