"""Planned batches: which pairs each step holds, as a pure function of sizes, settings, seed and step."""
