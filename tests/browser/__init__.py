"""The console and the portal in Debian's Chromium: every page as every role, with axe and with pictures."""
