"""A page that shows what a run made: figures, charts and tables, in one file for any browser."""
