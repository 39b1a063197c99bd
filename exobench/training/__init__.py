"""The training engine that every gradient-trained method shares."""
