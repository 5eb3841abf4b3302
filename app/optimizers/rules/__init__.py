"""Every update rule: NAME.py, NAME.lua and NAME.h compute the same bits."""
