"""The demonstration: two tiny real models, and traffic with known answers through a waterfall."""
