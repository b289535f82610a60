"""Where bytes live: objects named by their digest, on this machine or behind a backend."""
