"""One file a kind of feedback: events in, signals out."""
