"""An active-active Jupyter Enterprise Gateway: kernels kept in MongoDB, served by any replica."""

__version__ = "0.1.0"
