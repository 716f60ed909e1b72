"""Attacks on feedback, through intake and a whole turn: defended, undefended and without them."""
