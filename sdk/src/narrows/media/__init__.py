"""Pictures and files of video: in and out through PyAV, Matroska, and how good a picture is."""
