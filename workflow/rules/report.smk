"""The report, and the page that sets those of several data sets side by side."""


rule report:
    input:
        genome=rules.genome.output,
        negatives=rules.negatives.output,
        kmers=rules.kmers.output,
        training=rules.training.output,
        evaluation=EVALUATED,
    output:
        page=report(
            "results/{dataset}/report/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"data set": "{dataset}"},
        ),
        data=report(
            directory("results/{dataset}/report/data"),
            patterns=["{figure}.tsv"],
            caption="../report/data.rst",
            category="Figures' data",
            labels={"data set": "{dataset}", "figure": "{figure}"},
        ),
    log:
        "results/{dataset}/logs/report.log",
    benchmark:
        "results/{dataset}/benchmarks/report.tsv"
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=section("name", "seed", "report"),
        config=configuration,
        results=results_folder,
    message:
        "Writing the report"
    shell:
        "genocontrast report run"
        " --config {params.config:q} --results {params.results:q} 2>&1 | tee {log:q}"


rule compare:
    input:
        expand("results/{dataset}/report/report.html", dataset=DATASETS),
    output:
        report(
            "results/compare.html",
            caption="../report/compare.rst",
            category="Report",
            labels={"data set": "all"},
        ),
    log:
        "results/logs/compare.log",
    conda:
        "../envs/genocontrast.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        folders=lambda wildcards, input: [str(Path(page).parents[1]) for page in input],
    message:
        "Setting the reports side by side"
    shell:
        "genocontrast report compare {params.folders:q} --out {output:q} 2>&1 | tee {log:q}"
