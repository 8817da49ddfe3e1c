"""The page of a run for the browser: contents, figures, tables, and what each curve was made from."""
