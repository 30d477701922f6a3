"""What can be defined, one module per noun: each reads one table into one frozen domain type."""
