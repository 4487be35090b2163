"""Known architectures, and the state dicts that become them."""
