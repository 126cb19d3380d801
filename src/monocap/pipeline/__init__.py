"""Photo and video capture: what lies below, composed. `api` is the public door, `engine` does the work."""
