"""Consent and pseudonyms, between journal and lake."""
