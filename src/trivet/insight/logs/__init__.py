"""What an access log says: counting, alerts, and the two engines that read it."""
