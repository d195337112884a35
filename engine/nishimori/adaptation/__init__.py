"""What is chosen by measuring, before anything is measured for keeps: it ends, and its result is frozen."""
