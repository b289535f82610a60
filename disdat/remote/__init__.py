"""A context's mirror on a remote: what is published there, where its bytes lie, and moving them."""
