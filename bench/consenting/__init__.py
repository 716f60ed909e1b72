"""Random histories of consent, and what each of them allows when it is read in words."""
