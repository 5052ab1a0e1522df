"""First-stage signal processing across devices, in arrays. Every module here is pure."""
