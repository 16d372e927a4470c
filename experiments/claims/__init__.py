"""Claims with their evidence, and the report made of them."""
