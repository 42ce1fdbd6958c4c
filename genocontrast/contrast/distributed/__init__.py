"""InfoNCE over many processes."""
