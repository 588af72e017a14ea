"""What tests need: a server and a network that misbehave as they are told.

::

    from voicews.testing import FaultProxy, FaultServer, steps
"""

from voicews.testing import steps
from voicews.testing.certificates import Certificates
from voicews.testing.fault_proxy import FaultProxy
from voicews.testing.fault_server import FaultConnection, FaultServer

__all__ = ["Certificates", "FaultConnection", "FaultProxy", "FaultServer", "steps"]
