"""What a product's own code uses: send what users do, ask for answers, say what came of them."""

from __future__ import annotations

from upwell.interfaces.sdk.aio import AsyncClient
from upwell.interfaces.sdk.answers import Answer, Shown
from upwell.interfaces.sdk.client import Client

__all__ = ["Answer", "AsyncClient", "Client", "Shown"]
