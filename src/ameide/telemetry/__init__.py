"""What a process tells about itself: the trace that joins the loop, and the metrics of contracts 8."""
