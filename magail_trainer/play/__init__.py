"""What trained policies do: evaluation, scores, cross-play."""
