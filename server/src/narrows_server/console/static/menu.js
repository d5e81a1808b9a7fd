// On a phone the menu starts folded. Without this script it is open, and all the same a menu.
"use strict";
const menu = document.getElementById("menu");
const isPhone = window.matchMedia("(max-width: 56rem)");
if (isPhone.matches) menu.open = false;

// Escape folds what was unfolded last around the focus: the menu on a phone, a form for what cannot be undone.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const around = document.activeElement.closest("details[open]");
  if (!around || (around === menu && !isPhone.matches)) return;
  around.open = false;
  around.querySelector("summary").focus();
});
