// The live view: the server holds a line open to this page. When the session is ended elsewhere, it says so, and the page leaves.
"use strict";

const view = document.getElementById("live");
const state = document.getElementById("live-state");
const time = document.getElementById("live-time");
const line = new EventSource("/live");

// Said only when it changes: a screen reader would speak every second.
const say = (text) => {
  if (state.textContent !== text) state.textContent = text;
  view.dataset.state = text;
};

view.hidden = false;
line.addEventListener("tick", (event) => {
  say("Live");
  time.textContent = ` ${event.data} s`;
});
line.addEventListener("error", () => {
  say(line.readyState === EventSource.CLOSED ? "Cut off" : "Connecting");
  time.textContent = "";
});
// A form that is on its way leads to a page of its own. A logout ends the session
// before its answer is here, which must not make this page leave first.
addEventListener("submit", () => line.close());

line.addEventListener("ended", () => {
  line.close();
  location.replace("/ended"); // not to be come back to
});
