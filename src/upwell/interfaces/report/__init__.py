"""What happened over all turns, as pictures, tables and JSON, in English and Chinese."""
