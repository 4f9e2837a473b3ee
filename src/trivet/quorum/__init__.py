"""The protocol cores: voting, leadership, placement, digests and repair plans, without I/O."""
