"""Hard negatives: pool -> covariates -> matching -> balance."""

from genocontrast.negatives.balance import Balance
from genocontrast.negatives.data import Data, load_data
from genocontrast.negatives.decoys import Matched
from genocontrast.negatives.matching import match_negatives
from genocontrast.negatives.pool import Pool, candidate_pool

__all__ = ["Balance", "Data", "Matched", "Pool", "candidate_pool", "load_data", "match_negatives"]
