"""The resolved configuration that every stage reads."""


rule resolve_config:
    output:
        f"{RESULTS}/config.json",
    log:
        f"{RESULTS}/logs/resolve_config.log",
    localrule: True
    conda:
        "../envs/genocontrast.yaml"
    params:
        settings=SETTINGS.model_dump_json(),
    shell:
        "printf '%s\\n' {params.settings:q} > {output:q} 2> {log:q}"
