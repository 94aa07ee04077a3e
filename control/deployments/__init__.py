"""Deployments: releases brought to a route by one of five strategies, with their records."""
