"""The configuration, checked once; each stage's rule states which of its sections it depends on."""

import json

from snakemake.utils import validate

from genocontrast.artefacts import write_json
from genocontrast.config import AUDITED_TIERS, parse_config

# our own check first: its errors name the key, the value and the remedy
SETTINGS = parse_config(config, " and ".join(map(str, workflow.configfiles)))
validate(config, "../schemas/config.schema.json", set_default=False)
RESULTS = f"results/{SETTINGS.name}"


def section(*names):
    """Settings whose change runs a rule again."""
    return json.dumps(
        {name: SETTINGS.model_dump()[name] for name in names}, sort_keys=True
    )


def results_folder(wildcards, output):
    """Folder of this data set's results; the resolved configuration lies in it when a run starts."""
    return RESULTS
