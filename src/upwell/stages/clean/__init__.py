"""Events to signals: feedback rules and attribution."""
