"""What a server shows of itself: read, bounded, and with the reason where something is not seen."""
