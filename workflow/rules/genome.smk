"""The demo's genome, files that are fetched, and the checked inputs of any genome."""


rule simulate:
    output:
        multiext(
            "resources/simulated/",
            "genome.fa.gz",
            "genes.gtf",
            "atac_rep1.bw",
            "atac_rep2.bw",
            "peaks.narrowPeak",
            "blacklist.bed",
            "elements.tsv",
            "sites.tsv",
        ),
    log:
        "resources/logs/simulate.log",
    benchmark:
        "resources/benchmarks/simulate.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    message:
        "Simulating a genome with planted promoters"
    shell:
        "genocontrast genome simulate --out resources/simulated 2>&1 | tee {log:q}"


rule download:
    output:
        "{path}",
    log:
        "resources/logs/download/{path}.log",
    wildcard_constraints:
        path=only(DOWNLOADS),
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(120),
    params:
        # no input: Snakemake would ask whether it exists, which ENCODE's server refuses, and each dry run a network
        url=lambda wildcards: DOWNLOADS[wildcards.path].url,
        kind=lambda wildcards: DOWNLOADS[wildcards.path].checksum[0],
        checksum=lambda wildcards: DOWNLOADS[wildcards.path].checksum[1],
    message:
        "Fetching {wildcards.path}"
    shell:
        "genocontrast genome take-in --source {params.url:q} --target {output:q}"
        " --{params.kind} {params.checksum} 2>&1 | tee {log:q}"


rule genome:
    input:
        files=of(lambda settings: files(settings, "genome")),
        # of data sets that share a genome the first one encodes it for all
        encoded=first_of_its_genome,
    output:
        multiext(
            "results/{dataset}/genome/",
            "promoters.parquet",
            "promoters.bed",
            "evidence.parquet",
            "open_chromatin.parquet",
            "excluded.parquet",
            "annotation.parquet",
            "genome.json",
        ),
    log:
        "results/{dataset}/logs/genome.log",
    benchmark:
        "results/{dataset}/benchmarks/genome.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=section("seed", "genome"),
        config=configuration,
        results=results_folder,
    message:
        "Reading and checking the inputs"
    shell:
        "genocontrast genome run"
        " --config {params.config:q} --results {params.results:q} 2>&1 | tee {log:q}"
