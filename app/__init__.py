"""The library that workers and coordinator share."""
