"""What every other layer stands on: errors, registries, fingerprints, seeds, atomic files."""
