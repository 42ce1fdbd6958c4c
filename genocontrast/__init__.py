"""Genomic contrastive models."""
