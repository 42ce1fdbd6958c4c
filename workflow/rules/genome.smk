"""The demo's genome, and the checked inputs of any genome."""


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
    conda:
        "../envs/genocontrast.yaml"
    message:
        "Simulating a genome with planted promoters"
    shell:
        "genocontrast genome simulate --out resources/simulated 2>&1 | tee {log:q}"


rule genome:
    input:
        fasta=SETTINGS.genome.fasta,
        promoters=SETTINGS.genome.promoters,
        open_chromatin=SETTINGS.genome.open_chromatin,
        signal=SETTINGS.genome.signal,
        exclude=SETTINGS.genome.exclude,
        evidence=[entry.path for entry in SETTINGS.genome.evidence],
        annotation=(
            [SETTINGS.genome.annotation.path] if SETTINGS.genome.annotation else []
        ),
    output:
        multiext(
            f"{RESULTS}/genome/",
            "promoters.parquet",
            "promoters.bed",
            "evidence.parquet",
            "open_chromatin.parquet",
            "excluded.parquet",
            "annotation.parquet",
            "genome.json",
        ),
    log:
        f"{RESULTS}/logs/genome.log",
    benchmark:
        f"{RESULTS}/benchmarks/genome.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=section("seed", "genome"),
        results=results_folder,
    message:
        "Reading and checking the inputs"
    shell:
        "genocontrast genome run --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"
