"""From raw tables to a prepared data set."""

from data.prepare.job import PREPARE_VERSION, check, prepare, raw_folder

__all__ = ["PREPARE_VERSION", "check", "prepare", "raw_folder"]
