"""Settings: one typed object made of a TOML file, the environment and defaults.

Owns every key, its rule and its default; the only room that reads the environment. Must not know what the settings
are used for beyond their rules, nor connect to anything.
"""

from campana.config.loading import ConfigError, environment_without_settings, load
from campana.config.settings import Settings
from campana.config.showing import SettingLine, describe

__all__ = ["ConfigError", "SettingLine", "Settings", "describe", "environment_without_settings", "load"]
