"""Per-window metrics, their aggregation, and the conventions they are computed under."""
