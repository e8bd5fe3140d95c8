"""The only place that speaks to a model: one package a wire."""
