"""From embeddings to exact ranks, and from ranks to the score of every question."""
