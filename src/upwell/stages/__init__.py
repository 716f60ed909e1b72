"""The stages of a turn, in the order of its story; none imports another."""
