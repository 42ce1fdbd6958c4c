"""Hard negatives: pool -> covariates -> matching -> balance."""

from genocontrast.negatives.balance import Balance
from genocontrast.negatives.decoys import Matched
from genocontrast.negatives.matching import match_negatives
from genocontrast.negatives.pool import Pool, candidate_pool

__all__ = ["Balance", "Matched", "Pool", "candidate_pool", "match_negatives"]
