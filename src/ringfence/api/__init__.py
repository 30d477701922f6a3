"""HTTP for people, on the control plane."""
