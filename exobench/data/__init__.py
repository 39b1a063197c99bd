"""The shared data set of a task: made once, read by every method."""

from exobench.data.generate import ensure_split, resolve_workers, verify
from exobench.data.recipe import DataRecipe
from exobench.data.store import OnlineSource, ShardedSource, ShardStore

__all__ = ["DataRecipe", "OnlineSource", "ShardStore", "ShardedSource", "ensure_split", "resolve_workers", "verify"]
