"""Figures as SVG, drawn at their printed width; text stays text and colours follow the reader's light or dark mode."""
