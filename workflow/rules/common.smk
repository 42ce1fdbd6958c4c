"""The configuration, checked and resolved once; each stage's rule states which of its sections it depends on."""

import json

from snakemake.utils import validate

from genocontrast.config import parse_config

validate(config, "../schemas/config.schema.json", set_default=False)
SETTINGS = parse_config(config)
RESULTS = f"results/{SETTINGS.name}"


def section(*names):
    """Settings whose change runs a rule again."""
    return json.dumps(
        {name: SETTINGS.model_dump()[name] for name in names}, sort_keys=True
    )
