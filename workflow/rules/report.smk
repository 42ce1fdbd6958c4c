"""The report."""


rule report:
    input:
        genome=rules.genome.output,
        negatives=rules.negatives.output,
        kmers=rules.kmers.output,
        training=rules.training.output,
        evaluation=rules.evaluation.output,
        shortcut=rules.shortcut.output if SETTINGS.evaluation.shortcut_audit else [],
    output:
        page=report(
            f"{RESULTS}/report/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"data set": SETTINGS.name},
        ),
        data=report(
            directory(f"{RESULTS}/report/data"),
            patterns=["{figure}.tsv"],
            caption="../report/data.rst",
            category="Figures' data",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=section("name", "seed", "report"),
        name=SETTINGS.name,
        results=results_folder,
    message:
        "Writing the report"
    shell:
        "genocontrast report run --config {params.results:q}/config.json --results {params.results:q} 2>&1 | tee {log:q}"
