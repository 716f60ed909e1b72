"""A snapshot and a recipe to a model: objective and trainer."""
