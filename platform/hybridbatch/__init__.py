"""hybridbatch: search and ablation of multilingual dense retrievers trained with hybrid batches."""

__version__ = "0.1.0"
