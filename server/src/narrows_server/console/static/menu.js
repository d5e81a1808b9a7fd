// On a phone the menu starts folded. Without this script it is open, and all the same a menu.
"use strict";
if (window.matchMedia("(max-width: 56rem)").matches) document.getElementById("menu").open = false;
