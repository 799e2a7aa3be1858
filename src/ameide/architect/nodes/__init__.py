"""The nodes of the graph. Those with an effect have nothing else in them, and the one that interrupts has none."""
