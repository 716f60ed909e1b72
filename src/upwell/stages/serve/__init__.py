"""A request in, an answer with scores, reasons and propensity out."""
