// Draws the figures anew every two seconds. The page is whole without it.
"use strict";

const redraw = async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("figures").replaceWith(page.getElementById("figures"));
  } catch {
    // The server is away. The next time may do better.
  }
};
setInterval(redraw, 2000);
