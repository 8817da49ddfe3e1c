"""The WorkChains: each `outline` reads as the method's section in the paper."""
