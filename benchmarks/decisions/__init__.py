"""How often a good canary is rolled back, and how soon a bad one."""
