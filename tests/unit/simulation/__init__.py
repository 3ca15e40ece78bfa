"""The oracle of the simulation: one case that is right for each rule, and cases that are wrong by one fact."""
