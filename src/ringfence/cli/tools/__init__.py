"""`ringfence tools`: what servers offer, what is accepted of it, and how good it is for a model."""
