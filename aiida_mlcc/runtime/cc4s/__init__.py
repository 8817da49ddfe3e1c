"""The tensors that Cc4s reads, written and checked."""
