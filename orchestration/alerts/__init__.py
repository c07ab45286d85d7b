"""Alerts: what went wrong with the nights or the numbers, told once to those who declared where."""
