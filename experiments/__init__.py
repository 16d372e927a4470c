"""The matching-game experiment and what is built on it: the only place that knows both the game and the trainer."""
