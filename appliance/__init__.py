"""The overnight appliance: finds, in one night, the configuration that is best on this hardware."""

__version__ = "0.1.0"
