"""Every update rule: NAME.py, NAME.lua and NAME.h say the same in NumPy, Lua and C."""
