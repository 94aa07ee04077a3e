"""The proxies that are compared: one configuration file each, with the settings that make it quick."""
