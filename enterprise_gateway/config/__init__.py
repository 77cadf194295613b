"""What can be set, under which names, and where the values come from: defaults, environment, config file, command line.

The traits of one topic are in one module (`server`, `security`, `kernels`, `replica`), and together in `settings`. Only
`environment` reads the environment of the process.
"""
