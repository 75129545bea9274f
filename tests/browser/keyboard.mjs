// Hands on a keyboard: nothing here uses a mouse, or a selector that a person could not follow by pressing Tab.

import { focusShows } from "./watch.mjs";

// Presses Tab until `wanted` (a function in the page, given the focused element and `argument`) says yes.
export async function tabTo(page, wanted, argument, most = 400) {
  for (let pressed = 0; pressed < most; pressed++) {
    // As one expression: the page's policy forbids it to make functions of texts.
    const there = await page.evaluate(
      `document.activeElement !== document.body && Boolean((${wanted})(document.activeElement, ${JSON.stringify(argument ?? null)}))`,
    );
    if (there) {
      if (!(await focusShows(page))) throw new Error(`the focus does not show on ${await focused(page)}`);
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not lead to ${wanted} ${JSON.stringify(argument ?? "")}`);
}

const focused = (page) => page.evaluate(() => document.activeElement.outerHTML.slice(0, 160));

export const tabToId = (page, id) => tabTo(page, (at, id) => at.id === id, id);
export const tabToText = (page, text) => tabTo(page, (at, text) => at.textContent.trim().startsWith(text) || at.getAttribute("aria-label") === text, text);

// To something inside the note whose text contains `mark`.
export const tabInNote = (page, mark, label) =>
  tabTo(page, (at, [mark, label]) => {
    const note = at.closest("article");
    if (!note || !note.textContent.includes(mark)) return false;
    return at.textContent.trim().startsWith(label) || at.getAttribute("aria-label") === label;
  }, [mark, label]);

// Presses a key that leads to another page, and waits for that page.
export async function pressAndGo(page, key) {
  await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.keyboard.press(key)]);
}

export async function signIn(page, url, name, password) {
  await page.goto(url, { waitUntil: "load" });
  await tabToId(page, (await page.$("#username")) ? "username" : "name"); // the focus is there unless providers come first
  await page.keyboard.type(name);
  await page.keyboard.press("Tab");
  await page.keyboard.type(password);
  await pressAndGo(page, "Enter");
}
