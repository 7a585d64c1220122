"""Speech models from the hub or a folder as encoders under a small head."""
