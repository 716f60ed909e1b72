"""What `bench.redact` is made of: sentences with known personal data, peers, and a tagger."""
