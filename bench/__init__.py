"""Side-by-side measurements of Upwell against its peers; never imported by the package."""
