"""The demonstration: real model servers, a real Headgate, real traffic, a good release and a bad one."""
