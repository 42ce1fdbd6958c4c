"""The promoter encoder."""


rule training:
    input:
        config=ancient(f"{RESULTS}/config.json"),
        examples=f"{RESULTS}/negatives/examples.parquet",
        fasta=SETTINGS.genome.fasta,
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
        settings=section("seed", "training"),
        results=lambda wildcards, input: os.path.dirname(input.config),
    shell:
        "OMP_NUM_THREADS={threads} genocontrast training run"
        " --config {input.config:q} --results {params.results:q} 2>&1 | tee {log:q}"
