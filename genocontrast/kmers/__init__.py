"""kmers."""
