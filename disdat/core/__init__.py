"""What things are: pure values, no I/O and no clock."""
