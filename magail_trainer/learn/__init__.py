"""The algorithm: MAGAIL, its parts, and the trainer that puts them together."""
