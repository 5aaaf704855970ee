"""What an operator does to keep a gallery: backup, restore, export, import, check, forget. None of it decides who is
who; all of it goes through the gallery's own doors.
"""
