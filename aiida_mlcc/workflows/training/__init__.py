"""Base, Δ and their sum, for each method and seed; distillation."""
