"""HTTP: parse, call one method of a service, render. Nothing here knows how a kernel is run or stored."""
