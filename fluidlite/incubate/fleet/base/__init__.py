"""What the three faces of fleet have in common, and the role makers."""

from . import fleet_base, mode, role_maker
