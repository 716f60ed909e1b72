"""The load that the capture bench puts on the service, and what it is compared with."""
