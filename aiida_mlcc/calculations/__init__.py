"""CalcJobs that run the runtime's tasks, and the calcfunctions between them."""
