"""How good answers are: metrics, intervals, comparisons."""
