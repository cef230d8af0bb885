"""Figures, tables, texts and pages."""
