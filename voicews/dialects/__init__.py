"""The languages of voice servers, and how to add one."""

from voicews.dialects.base import Dialect, Request, Session
from voicews.dialects.plain import Plain

__all__ = ["Dialect", "Plain", "Request", "Session"]
