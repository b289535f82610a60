"""Where a promise is tried at its edge."""
