"""One file an importer: data that lie elsewhere, read as events."""
