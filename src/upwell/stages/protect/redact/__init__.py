"""Personal data in free text, found by rules (and by a model, where one is set) and replaced."""
