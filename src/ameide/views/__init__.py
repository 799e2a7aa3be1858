"""Read side: the projector writes what queries read; every answer says its log position and cites its records."""
