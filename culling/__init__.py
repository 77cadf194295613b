"""Who lives, who may cull, and what: decides and records. It knows the database, never HTTP or kernels."""
