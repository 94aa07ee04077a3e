"""Where handlers find the control plane."""

from aiohttp import web

from control.plane import Plane

PLANE = web.AppKey("plane", Plane)
