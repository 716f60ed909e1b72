"""The service over HTTP: it reads requests, calls the online verbs, and writes their answers."""
