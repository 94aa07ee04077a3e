"""Load on whole proxies, side by side: what a request costs each of them in processor time."""
