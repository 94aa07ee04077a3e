"""Whether two answers to one request say the same: functions of bytes, and the process that runs them."""
