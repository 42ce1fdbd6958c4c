"""The configuration of each data set, checked once; each stage's rule states which of its sections it depends on."""

import json
import re
from pathlib import Path

from snakemake.utils import validate

from genocontrast.artefacts import read_json, sweep, write_json
from genocontrast.config import AUDITED_TIERS
from genocontrast.datasets import SHEET, parse_datasets
from genocontrast.evaluation.predictions import is_sequences
from genocontrast.needs import artefacts, files

# our own check first: its errors name the key, the value and the remedy
DATASETS = parse_datasets(config, " and ".join(map(str, workflow.configfiles)))
if SHEET not in config:
    validate(config, "../schemas/config.schema.json", set_default=False)
DOWNLOADS = {
    path: each
    for settings in DATASETS.values()
    for path, each in settings.downloads.items()
}


def only(names):
    """A pattern of these names and no others."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset=only(DATASETS),


def of(choose):
    """What `choose` takes from the configuration of a job's data set."""
    return lambda wildcards: choose(DATASETS[wildcards.dataset])


def section(*names):
    """Settings whose change runs a rule again."""
    return of(
        lambda settings: json.dumps(
            {name: settings.model_dump()[name] for name in names}, sort_keys=True
        )
    )


def configuration(wildcards):
    """The resolved configuration of a job's data set."""
    return f"results/{wildcards.dataset}/config.json"


def results_folder(wildcards):
    """Folder of a job's data set."""
    return f"results/{wildcards.dataset}"


def artefacts_for(stage):
    """What a stage of a job's data set needs of earlier stages because of its settings."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/{name}"
        for name in artefacts(DATASETS[wildcards.dataset], stage)
    ]


def every(made, **choices):
    """Outputs of a rule for a job's data set, for all values that its configuration names."""
    return lambda wildcards: expand(
        made.output,
        dataset=wildcards.dataset,
        **{
            name: choose(DATASETS[wildcards.dataset])
            for name, choose in choices.items()
        },
    )


def first_of_its_genome(wildcards):
    """What tells that the genome of a job's data set is encoded: the result of the first data set that has it."""
    fasta = DATASETS[wildcards.dataset].genome.fasta
    first = next(
        name for name, settings in DATASETS.items() if settings.genome.fasta == fasta
    )
    if first == wildcards.dataset:
        return []
    return ancient(f"results/{first}/genome/genome.json")


def prediction_sets(wanted):
    """Pattern of the names, in any data set, of what is regions (False) or sequences (True)."""
    return only(
        {
            name
            for settings in DATASETS.values()
            for name, path in settings.prediction.regions.items()
            if is_sequences(path) is wanted
        }
    )


def growing(amount, times=lambda wildcards: 1):
    """More with every attempt: a job that was killed for want of it has a chance in the next."""
    return lambda wildcards, attempt: amount * times(wildcards) * attempt


def gpus(settings):
    """One for each process that trains, where the configuration asks for CUDA."""
    training = settings.training
    return int(training.device == "cuda") * training.processes * training.nodes


def over_nodes(choose):
    """A resource of trainings on several nodes, where `genocontrast` calls srun itself; on one node there is none."""

    def chosen(settings):
        nodes = settings.training.nodes
        return choose(nodes) if nodes > 1 else None

    return of(chosen)


# Here and not when the run starts: a workflow that imports this one does not take over what is to happen then.
if workflow.is_main_process and not workflow.dryrun:
    for name, settings in DATASETS.items():
        path, values = Path(f"results/{name}/config.json"), settings.model_dump()
        if not path.is_file() or read_json(path) != values:
            write_json(path, values)


onsuccess:
    for folder in ["resources", *(f"results/{name}" for name in DATASETS)]:
        for path in sweep(folder):
            print(f"removed {path}, half-written by a run that was killed")
