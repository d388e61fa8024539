"""Measures as pure functions of ranks: how well one question is answered, and how evenly over languages."""
