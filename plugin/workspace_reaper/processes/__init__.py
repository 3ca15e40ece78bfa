"""The processes of this machine: their identity, their details, and signals to exactly the process that was meant."""
