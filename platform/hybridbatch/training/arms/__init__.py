"""Arms, one file each: what an experiment may do beyond plain hybrid batches."""
