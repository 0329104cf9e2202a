"""Nothing secret and nothing that steers a terminal leaves the process: the last stop before every output."""
