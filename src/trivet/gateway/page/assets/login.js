// The form that logs somebody in.
import * as api from "./api.js";
import { el } from "./dom.js";

/** Show the form in `main`; `entered` is called when the login worked, `note` says why it is shown. */
export function showLogin(main, entered, note = "") {
  const user = el("input", { type: "text", name: "user", autocomplete: "username", required: true });
  const password = el("input", { type: "password", name: "password", autocomplete: "current-password",
    required: true });
  const said = el("p", { class: "error", role: "alert" }, note);
  const button = el("button", { class: "main" }, "Log in");
  const form = el("form", { onsubmit: submit }, el("h1", {}, "Log in to this drive"),
    el("label", {}, "Name", user), el("label", {}, "Password", password), said, button);
  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      await api.login(user.value, password.value);
      entered();
    } catch (error) {
      said.textContent = error instanceof api.Refused ? error.message : "The server can't be reached.";
      button.disabled = false;
      password.select();
    }
  }
  main.replaceChildren(el("div", { class: "card login" }, form,
    el("p", { class: "soft" }, "No account? The one who runs the drive makes one: ", el("code", {}, "trivet user add"))));
  user.focus();
}
