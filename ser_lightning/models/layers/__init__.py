"""Layers that networks share, each of which leaves padding out."""
