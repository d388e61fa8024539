"""The study as the ledger of trials: what to try next, what was tried, who works on it."""
