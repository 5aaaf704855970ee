"""face-login's daemon, client and command line. Importing this package loads no network and no TensorFlow."""

__version__ = "0.1.0"
