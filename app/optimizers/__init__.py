"""Update rules that the shards apply, and their NumPy twins."""
