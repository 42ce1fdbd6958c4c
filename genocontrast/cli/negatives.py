"""Match decoys to promoters."""

from genocontrast.cli.options import stage_app

app = stage_app("negatives", "Pool -> covariates -> matching -> balance; stops where the balance gate fails.")
