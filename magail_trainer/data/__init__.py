"""What is on disk: trajectories, run folders; and what records them."""
