"""Train the promoter encoder."""

from genocontrast.cli.options import stage_app

app = stage_app("training", "Train the strand-tied encoder on promoters and matched decoys; resumes after a kill.")
